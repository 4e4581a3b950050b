"""Property tests draw the same examples each time, so that a change alone decides whether they pass."""

from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")
