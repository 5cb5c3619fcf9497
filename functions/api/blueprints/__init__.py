"""Routes, one blueprint a noun, each imported when the first request for one of its paths arrives.

An environment that has just started answers one request, which is about one noun: it should not wait until the types,
decoders and domain modules of ten others are there, a sixth of its start. What every request needs is imported with
`api.app`. docs/decisions/0022-a-blueprint-comes-with-its-request.md has the figures.
"""

import importlib
from collections.abc import Iterable
from threading import Lock

from chalice.app import Chalice

from api.access import ROUTES


class Blueprints:
    """The blueprints of one app. A module here is named as the blueprint in it, and as its rows in `ROUTES`."""

    def __init__(self, app: Chalice) -> None:
        self._app = app
        self._registered: set[str] = set()
        self._registering = Lock()
        # Two blueprints may have methods of one path: without both, the app would refuse the other's as not allowed.
        self._at: dict[str, set[str]] = {}
        for name, rows in ROUTES.items():
            for _, path in rows:
                self._at.setdefault(path, set()).add(name)

    def load(self, path: str) -> None:
        """Make the app answer the path, if there are routes at it: those of every blueprint."""
        self._register(self._at.get(path, ()))

    def whole_app(self) -> Chalice:
        """The app, with every route there is."""
        self._register(ROUTES)
        return self._app

    def _register(self, names: Iterable[str]) -> None:
        with self._registering:
            for name in names:
                if name not in self._registered:
                    module = importlib.import_module(f"{__name__}.{name}")
                    self._app.register_blueprint(getattr(module, name))
                    self._registered.add(name)
