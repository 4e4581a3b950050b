"""Bodies as the guard has read them: what it checked is what the routes get, and no body is parsed twice."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute


class Read(Request):
    """A request whose JSON was parsed by the guard, within its limits and beside the loop."""

    async def json(self) -> Any:
        """The value that the guard has checked."""
        state = self.scope.get("state", {})
        return state["json"] if "json" in state else await super().json()


class Route(APIRoute):
    """A route that takes the guard's value of a body: ``APIRouter(route_class=Route)``."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own handler, given such a request."""
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await inner(Read(request.scope, request.receive))

        return handle
