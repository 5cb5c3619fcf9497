"""The console: this project's own modules as one script, and uPlot, which draws its charts, out of the runtime layer.

The address of a part carries a digest of all parts, so a browser keeps them for good and never mixes two deployments.
"""

import hashlib
from functools import lru_cache
from pathlib import Path

from chalice.app import Response

from api.documents import PAGE_HEADERS, AssetNotFoundError, find_package_folder
from api.modules import join_modules
from leaseway import objects

_HERE = Path(__file__).parent / "console"
_PAGE = "index.html"
_MEDIA_TYPES = {
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml; charset=utf-8",
}


def page() -> Response:
    """The page, which names its parts under the present version."""
    text = (_HERE / _PAGE).read_text().replace("{version}", version())
    headers = PAGE_HEADERS | {"content-security-policy": _content_security_policy()}
    return Response(text, headers)


def asset(asked_version: str, name: str) -> Response:
    """A part of the page. One asked for under another version is of a page that is out of date: it is not kept.

    Raises:
        AssetNotFoundError: the page has none of that name.
    """
    text = _parts().get(name)
    if text is None:
        raise AssetNotFoundError
    headers: dict[str, str | list[str]] = {
        "content-type": _MEDIA_TYPES[name.rpartition(".")[2]],
        "x-content-type-options": "nosniff",
        "cache-control": "public, max-age=31536000, immutable" if asked_version == version() else "no-store",
    }
    return Response(text, headers)


@lru_cache(maxsize=1)
def version() -> str:
    """Changes with every part of the page."""
    digest = hashlib.sha256()
    for name, text in sorted(_parts().items()):
        digest.update(f"{name}\0{text}\0".encode())
    return digest.hexdigest()[:12]


@lru_cache(maxsize=1)
def _parts() -> dict[str, str]:
    charts = find_package_folder("uplot") / "static"
    return {
        "console.js": join_modules(_HERE, "main"),
        "console.css": (charts / "uPlot.min.css").read_text() + (_HERE / "console.css").read_text(),
        "icon.svg": (_HERE / "icon.svg").read_text(),
        "theme.js": (_HERE / "theme.js").read_text(),
        "uPlot.iife.js": (charts / "uPlot.iife.js").read_text(),
    }


@lru_cache(maxsize=1)
def _content_security_policy() -> str:
    # Pictures are shown from the bucket and uploads go to it; nothing else of that origin is in reach.
    bucket = objects.address()
    return (
        "default-src 'none'; script-src 'self'; style-src 'self';"
        f" img-src 'self' data: blob: {bucket}/; connect-src 'self' {bucket} {bucket}/;"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    )
