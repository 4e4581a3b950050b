"""The HTTP API: engine and store behind keys, limits and problem details, described by OpenAPI under /v1."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser

from hashloom.serve import problems
from hashloom.serve.auth import Keys
from hashloom.serve.guard import Guard
from hashloom.serve.metrics import Metrics
from hashloom.serve.origins import Origins, checked
from hashloom.serve.pages import page_routes
from hashloom.serve.routes_operate import admin_routes, model_routes, open_routes, status_routes
from hashloom.serve.routes_posts import post_routes, sending_routes
from hashloom.serve.routes_spaces import space_routes, space_views
from hashloom.serve.routes_suggest import community_routes, suggest_routes
from hashloom.serve.service import Service
from hashloom.serve.settings import ServeSettings

if TYPE_CHECKING:
    from hashloom.serve.engine import Engine
    from hashloom.store import Store

ABOUT = """Hashtags for a post that is being written, from its text, pictures, author, community and the moment.

Every answer names the model that gave it and the request's id. Errors are problem details (RFC 9457). Suggestions never
block a post: `way` and `why` say how an answer came about. In addresses `~` stands for the community without a name.
Roles: reader (suggest, forecast, complete, trends), writer (posts, feedback), operator (tag spaces, models), admin
(keys, authors); each may do what those before it may, within the community that the key is for."""

ROUTES = (
    suggest_routes, community_routes, post_routes, sending_routes, space_routes, space_views, model_routes,
    status_routes, admin_routes, open_routes, page_routes,
)  # fmt: skip


def make_app(engine: Engine, store: Store, settings: ServeSettings | None = None) -> FastAPI:
    """The service as an ASGI application. The engine's thread runs as long as the application does."""
    settings = settings or engine.settings
    service = Service(engine, store, settings, Keys(engine.lookups, settings), Metrics())
    # The guard has read the body into memory; a second copy of its pictures on a disk, which may be full, is no gain.
    MultiPartParser.spool_max_size = max(MultiPartParser.spool_max_size, settings.max_upload)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        from anyio.to_thread import current_default_thread_limiter

        current_default_thread_limiter().total_tokens = settings.threads
        engine.start()
        yield

    app = FastAPI(
        title="Hashloom", version=_version(), description=ABOUT, lifespan=life, openapi_url="/v1/openapi.json",
        docs_url=None, redoc_url=None, redirect_slashes=False, exception_handlers=_handlers(),
    )  # fmt: skip
    for routes in ROUTES:
        app.include_router(routes(service))
    app.add_middleware(Guard, settings=settings, keys=service.keys, metrics=service.metrics)
    if settings.origins:
        app.add_middleware(Origins, origins=checked(settings.origins))
    app.state.service = service
    _describe_keys(app)
    return app


def _version() -> str:
    from hashloom import __version__

    return __version__


def _handlers() -> dict[Any, Any]:
    from hashloom.store import StoreError

    return {
        HTTPException: problems.on_http,
        RequestValidationError: problems.on_invalid,
        StoreError: problems.on_store,
        Exception: problems.on_failure,
    }


def _describe_keys(app: FastAPI) -> None:
    """Say in the API's description that a key is needed under /v1."""
    made = app.openapi

    def described() -> dict[str, Any]:
        said = made()
        schemes = said.setdefault("components", {}).setdefault("securitySchemes", {})
        schemes["key"] = {"type": "http", "scheme": "bearer", "description": "hl_…; none on loopback by default"}
        for path, methods in said["paths"].items():
            for operation in methods.values() if path.startswith(("/v1", "/metrics")) else ():
                operation["security"] = [{"key": []}]
        return said

    app.openapi = described  # type: ignore[method-assign]
