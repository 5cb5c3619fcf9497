"""PNG files chunk by chunk: drops those for which Pillow refuses a whole picture, and that no resized picture needs.

Format: https://www.w3.org/TR/png-3/#5Chunk-layout. Each chunk is a 4-byte length, a 4-byte type, data and a 4-byte CRC.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"

LARGEST_PROFILE = 1 << 20
"""Bytes of an ICC profile that are kept: Pillow's own limit for a compressed chunk, beyond which it raises."""

_AROUND_DATA = 12  # length, type and CRC
_LONGEST_PROFILE_NAME = 79
_GREY, _COLOUR, _PALETTE = 0, 2, 3  # colour types in which single colours can be transparent
_SAMPLE_BYTES = {_GREY: 2, _COLOUR: 6}


class _Chunk(NamedTuple):
    """One chunk: its type, and its whole text with length and CRC; the last one of a file may be cut off."""

    kind: bytes
    text: bytes

    @property
    def is_critical(self) -> bool:
        """Whether the picture cannot be decoded without it: its type begins with a capital."""
        return self.kind[:1].isupper()

    @property
    def data(self) -> bytes:
        """What the chunk carries."""
        return self.text[8:-4]

    @property
    def is_whole(self) -> bool:
        """Whether its CRC is right."""
        return self.text[-4:] == struct.pack(">I", zlib.crc32(self.text[4:-4]))


def drop_needless_chunks(png: bytes) -> bytes:
    """Keep what the pixels, their transparency, their colours and their orientation need; other files stay as they are.

    Comments, times and animations go, whatever is wrong with them. A profile, a transparency and EXIF data go if they
    are malformed, as in browsers: a picture can be shown without.
    """
    if not png.startswith(SIGNATURE):
        return png
    colour_type, palette_size, kept = png[25:26], 0, [SIGNATURE]
    for chunk in _chunks(png):
        if chunk.kind == b"PLTE":
            palette_size = len(chunk.data) // 3
        if chunk.is_critical or _is_needed(chunk, ord(colour_type or b"\0"), palette_size):
            kept.append(chunk.text)
    return b"".join(kept)


def _chunks(png: bytes) -> Iterator[_Chunk]:
    start = len(SIGNATURE)
    while start < len(png):
        header = png[start : start + 8]
        length = struct.unpack(">I", header[:4])[0] if len(header) == 8 else len(png)
        end = min(len(png), start + _AROUND_DATA + length)
        yield _Chunk(header[4:], png[start:end])
        start = end


def _is_needed(chunk: _Chunk, colour_type: int, palette_size: int) -> bool:
    if chunk.kind == b"tRNS":
        return chunk.is_whole and _is_transparency(chunk.data, colour_type, palette_size)
    if chunk.kind == b"iCCP":
        return chunk.is_whole and _is_profile(chunk.data)
    return chunk.kind == b"eXIf" and chunk.is_whole


def _is_transparency(data: bytes, colour_type: int, palette_size: int) -> bool:
    if colour_type == _PALETTE:
        return 0 < len(data) <= palette_size
    return len(data) == _SAMPLE_BYTES.get(colour_type)


def _is_profile(data: bytes) -> bool:
    """Whether it has a name, the one method of compression and no more than `LARGEST_PROFILE` bytes."""
    name, separator, rest = data.partition(b"\0")
    if not separator or not 1 <= len(name) <= _LONGEST_PROFILE_NAME or rest[:1] != b"\0":
        return False
    try:
        return len(zlib.decompressobj().decompress(rest[1:], LARGEST_PROFILE + 1)) <= LARGEST_PROFILE
    except zlib.error:
        return False
