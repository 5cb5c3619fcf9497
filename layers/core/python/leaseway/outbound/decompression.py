"""Undo the Content-Encoding of a body piece by piece, and notice one that is cut off or has something behind it."""

import zlib
from collections.abc import Iterable, Iterator

_PIECE = 65_536
_CODINGS_LIMIT = 5
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_KNOWN = {"gzip", "x-gzip", "deflate"}


class BrokenEncodingError(Exception):
    """The body is not what its Content-Encoding declares."""


def decompress(chunks: Iterator[bytes], content_encoding: str) -> Iterator[bytes]:
    """Yield the body in pieces of at most 64 KB, so that a bomb costs its reader one piece for each coding.

    A body with a coding that was not requested stays as it is; its header says what it is.

    Raises:
        BrokenEncodingError: while it is read, or at once for more than five codings.
    """
    codings = [coding.strip().lower() for coding in content_encoding.split(",")]
    codings = [coding for coding in codings if coding not in {"", "identity"}]
    if not _KNOWN.issuperset(codings):
        return chunks
    if len(codings) > _CODINGS_LIMIT:
        raise BrokenEncodingError(f"the body has more than {_CODINGS_LIMIT} content encodings")
    for coding in reversed(codings):
        chunks = _inflate(chunks, coding)
    return chunks


def _inflate(chunks: Iterable[bytes], coding: str) -> Iterator[bytes]:
    stream = None
    try:
        for chunk in chunks:
            pending, is_full = _skip_padding(stream, chunk, coding), False
            while pending or is_full:
                if stream is None or (stream.eof and coding != "deflate"):
                    stream = zlib.decompressobj(_choose_window(coding, pending))
                piece = stream.decompress(pending, _PIECE)
                yield piece
                if stream.eof and stream.unused_data and coding == "deflate":
                    raise BrokenEncodingError("the compressed body has something behind its end")
                # A full piece may leave output inside the stream although it has read all of its input.
                pending = stream.unconsumed_tail or _skip_padding(stream, stream.unused_data, coding)
                is_full = len(piece) == _PIECE and not stream.eof
    except zlib.error as problem:
        raise BrokenEncodingError(f"the compressed body is broken: {problem}") from problem
    if stream and not stream.eof:
        raise BrokenEncodingError("the compressed body is cut off")


def _skip_padding(stream: "zlib._Decompress | None", rest: bytes, coding: str) -> bytes:
    """What follows a finished gzip member without the zeros that fill up its last block; anything else as it is."""
    return rest.lstrip(b"\0") if coding != "deflate" and stream is not None and stream.eof else rest


def _choose_window(coding: str, start: bytes) -> int:
    if coding != "deflate":
        return _GZIP_WINDOW
    # "deflate" means zlib's format, but servers also send the bare stream, which never begins with these four bits.
    is_zlib = start[0] & 0x0F == zlib.DEFLATED
    return zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS
