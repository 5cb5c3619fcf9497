"""PNG files chunk by chunk: drops text and oversized profiles, for which Pillow refuses a whole picture.

Format: https://www.w3.org/TR/png-3/#5Chunk-layout. Each chunk is a 4-byte length, a 4-byte type, data and a 4-byte CRC.
"""

import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"

LARGEST_PROFILE = 1 << 20
"""Bytes of an ICC profile that are kept: Pillow's own limit for a compressed chunk, beyond which it raises."""

_TEXT = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_AROUND_DATA = 12  # length, type and CRC


def drop_text(png: bytes) -> bytes:
    """Remove text chunks and oversized colour profiles from a PNG; other bytes, and other files, stay as they are.

    Nothing of them reaches the resized picture, so a comment of any size is no reason to refuse it.
    """
    if not png.startswith(SIGNATURE):
        return png
    return SIGNATURE + b"".join(
        png[start:end] for kind, start, end in _chunks(png) if not _is_dropped(png, kind, start)
    )


def _chunks(png: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of each chunk; the last one reaches to the end of a file that is cut off."""
    start = len(SIGNATURE)
    while start < len(png):
        header = png[start : start + 8]
        length = struct.unpack(">I", header[:4])[0] if len(header) == 8 else len(png)
        end = min(len(png), start + _AROUND_DATA + length)
        yield header[4:], start, end
        start = end


def _is_dropped(png: bytes, kind: bytes, start: int) -> bool:
    if kind == b"iCCP":
        (length,) = struct.unpack(">I", png[start : start + 4])
        return _inflates_beyond_limit(png[start + 8 : start + 8 + length])
    return kind in _TEXT


def _inflates_beyond_limit(profile_chunk: bytes) -> bool:
    _, _, rest = profile_chunk.partition(b"\0")  # its name; one byte for the compression method follows
    try:
        return len(zlib.decompressobj().decompress(rest[1:], LARGEST_PROFILE + 1)) > LARGEST_PROFILE
    except zlib.error:
        return False  # Pillow reads such a picture without its profile
