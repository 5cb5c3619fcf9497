"""What people read: the OpenAPI document, and Swagger UI drawing it without a request to anywhere else.

Read from files when asked for, so that no other request pays for them.
"""

import importlib.util
from pathlib import Path

from chalice.app import Response

from leaseway.errors import NotFoundError

_HERE = Path(__file__).parent
PAGE_HEADERS: dict[str, str | list[str]] = {
    "content-type": "text/html; charset=utf-8",
    # No inline script or style, no other origin, no frame: Swagger UI needs none of them. Its icons are data: images.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "strict-transport-security": "max-age=31536000",
    "cache-control": "no-cache",
}
"""Of every page that people read."""
_SCRIPT, _STYLE = "text/javascript; charset=utf-8", "text/css; charset=utf-8"
_ASSETS = {"start.js": _SCRIPT, "swagger-ui-bundle.js": _SCRIPT, "swagger-ui.css": _STYLE}


class AssetNotFoundError(NotFoundError):
    """The page has no such file."""

    code = "ASSET_NOT_FOUND"


def openapi_document() -> Response:
    """The OpenAPI document, as `make generate` wrote it."""
    text = (_HERE / "openapi.json").read_text()
    return Response(text, {"content-type": "application/json", "cache-control": "no-cache"})


def page() -> Response:
    """The page that Swagger UI draws on."""
    return Response((_HERE / "docs" / "index.html").read_text(), dict(PAGE_HEADERS))


def asset(name: str) -> Response:
    """A script or style sheet of the page.

    Raises:
        AssetNotFoundError: it has none of that name.
    """
    if name not in _ASSETS:
        raise AssetNotFoundError
    folder = find_package_folder("flask_swagger_ui") / "dist" if name.startswith("swagger-ui") else _HERE / "docs"
    headers: dict[str, str | list[str]] = {
        "content-type": _ASSETS[name],
        "x-content-type-options": "nosniff",
        "cache-control": "public, max-age=3600",
    }
    return Response((folder / name).read_text(), headers)


def find_package_folder(package: str) -> Path:
    """The folder of a package that the runtime layer has for the files it carries.

    Found, not imported: its code is for a program that no function has.

    Raises:
        AssetNotFoundError: the layer was packaged without it.
    """
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise AssetNotFoundError(f"The runtime layer was packaged without {package}.")
    return Path(next(iter(folders)))
