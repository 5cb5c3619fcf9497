"""Build the archives of layers and functions, once per content.

An archive's name contains the hash of all its inputs: the sources, the pinned requirements, the recipe.
An archive that exists under that name is not built again.
"""

import hashlib
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from leaseway_local.deployment import layers
from leaseway_local.engine.paths import BUILD_CACHE
from leaseway_local.errors import LocalCloudError

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold: archives of equal content are equal bytes
_CACHED_ARCHIVES = 6


@dataclass(frozen=True)
class Archive:
    """One zip, ready to be uploaded."""

    name: str
    """What it holds: `core-layer`, `runtime-layer` or `functions`."""
    path: Path
    key: str
    """Its key in a code bucket."""
    built: bool
    """Whether this call built it; False if it existed."""

    def sha256(self) -> bytes:
        """Digest of the bytes, as Lambda reports it for a function's code."""
        return hashlib.sha256(self.path.read_bytes()).digest()


def build_core_layer(*, target: str = "laptop", cache: Path = BUILD_CACHE) -> Archive:
    """Build the layer with the package `leaseway`."""
    inputs = layers.sources(layers.CORE_SOURCE)
    return _build_or_find("core-layer", inputs, target, cache, lambda folder: layers.build_core(folder, target=target))


def build_runtime_layer(*, target: str = "laptop", cache: Path = BUILD_CACHE) -> Archive:
    """Build the layer with the third-party packages; takes seconds and needs the package index."""
    inputs = [layers.RUNTIME_REQUIREMENTS]
    return _build_or_find(
        "runtime-layer", inputs, target, cache, lambda folder: layers.build_runtime(folder, target=target)
    )


def build_functions(*, target: str = "laptop", overlay: Path | None = None, cache: Path = BUILD_CACHE) -> Archive:
    """Build the archive of all functions' code; `overlay` is a folder copied over it."""
    inputs = [*layers.sources(layers.FUNCTIONS_SOURCE), *(layers.sources(overlay) if overlay else ())]
    return _build_or_find(
        "functions", inputs, target, cache, lambda folder: layers.build_functions(folder, overlay=overlay)
    )


def digest(paths: Iterable[Path], *salt: str) -> str:
    """Hash of the files' names and contents, 16 hexadecimal characters."""
    combined = hashlib.sha256("\0".join(salt).encode())
    for path in paths:
        if not str(path).isprintable():
            raise LocalCloudError(f"a file's name has characters that an archive cannot hold: {path}", "Rename it.")
        combined.update(f"\0{path}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return combined.hexdigest()[:16]


def _build_or_find(
    name: str, inputs: Iterable[Path], target: str, cache: Path, build: Callable[[Path], None]
) -> Archive:
    files = [path.relative_to(layers.ROOT) if path.is_relative_to(layers.ROOT) else path for path in inputs]
    recipe = [Path(layers.__file__), Path(__file__)]
    content = digest((layers.ROOT / file for file in files), name, target, sys.version, digest(recipe))
    key = f"{name}-{target}-{content}.zip"
    path = cache / key
    if path.exists():
        os.utime(path)  # the cache evicts the oldest first
        return Archive(name, path, key, built=False)
    _build(path, build)
    _evict_old(cache, f"{name}-{target}-*.zip")
    return Archive(name, path, key, built=True)


def _build(path: Path, build: Callable[[Path], None]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="building-") as scratch:
        folder = Path(scratch) / "content"
        folder.mkdir()
        try:
            build(folder)
        except layers.RecipeError as problem:
            raise LocalCloudError(f"{path.name}: {problem}", "Fix that, then run it again.") from None
        unfinished = Path(scratch) / path.name
        zip_folder(folder, unfinished)
        unfinished.replace(path)  # never a half-written archive under its final name


def zip_folder(folder: Path, path: Path) -> None:
    """Write a zip whose bytes depend on the files' names and contents only."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for file in sorted(file for file in folder.rglob("*") if file.is_file()):
            entry = zipfile.ZipInfo(str(file.relative_to(folder)), _EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            with file.open("rb") as source, archive.open(entry, "w") as stored:
                shutil.copyfileobj(source, stored)


def _evict_old(cache: Path, pattern: str) -> None:
    newest_first = sorted(cache.glob(pattern), key=lambda archive: archive.stat().st_mtime, reverse=True)
    for old in newest_first[_CACHED_ARCHIVES:]:
        old.unlink(missing_ok=True)
