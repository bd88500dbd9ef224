"""Assets: the files that pages are shown with, all of them served by this process."""

from functools import cache
from hashlib import blake2b
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Final, NamedTuple

PATH: Final = "/docs/assets"

_MEDIA_TYPES: Final = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".png": "image/png",
}
_SOURCES: Final = {
    "swagger-ui.css": "swagger_ui",
    "swagger-ui-bundle.js": "swagger_ui",
    "favicon-32x32.png": "swagger_ui",
    "pages.css": "api.docs",
    "show-operations.js": "api.docs",
}
"""Each file, and the package in whose `static` it is."""


class Asset(NamedTuple):
    """A file. What it holds is in its path, so that it may be kept for ever under it."""

    path: str
    media_type: str
    content: bytes


@cache
def assets() -> dict[str, Asset]:
    """Every file by its name."""
    return {name: _load(name, package) for name, package in _SOURCES.items()}


@cache
def assets_by_path() -> dict[str, Asset]:
    """Every file by the path that it is served under."""
    return {asset.path: asset for asset in assets().values()}


def _load(name: str, package: str) -> Asset:
    content = files(package).joinpath("static", name).read_bytes()
    file = PurePosixPath(name)
    digest = blake2b(content, digest_size=8).hexdigest()
    return Asset(f"{PATH}/{file.stem}.{digest}{file.suffix}", _MEDIA_TYPES[file.suffix], content)
