"""Answers that are odd, broken or cut off: read right, or refused with a clear error, and never a wrong body."""

import gzip
import zlib
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from leaseway.errors import LeasewayError
from leaseway.outbound.fetching import FetchedResponse, FetchFailedError
from support.fuzz import count_examples

FetchRaw = Callable[..., FetchedResponse]
OK = b"HTTP/1.1 200 OK\r\n"
HELLO = OK + b"Content-Length: 5\r\n\r\nhello"
TEXT = b"hello " * 1_000
GZIP, ZLIB, RAW = gzip.compress(TEXT, mtime=0), zlib.compress(TEXT), zlib.compress(TEXT, wbits=-15)


@pytest.mark.parametrize(
    "interim",
    [
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 5,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nContent-Length: 3\r\n\r\n",
        b"HTTP/1.1 199 Odd\r\nLocation: /elsewhere\r\n\r\n",
        b"HTTP/1.1 104\r\n\r\n",
    ],
)
def test_an_interim_answer_is_skipped(fetch_raw: FetchRaw, interim: bytes) -> None:
    answer = fetch_raw(interim + HELLO)
    assert (answer.status, answer.body, answer.headers) == (200, b"hello", {"content-length": "5"})


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 20",
        b"HTTP/1.1 099 Odd\r\n\r\n",
    ],
)
def test_an_interim_answer_alone_is_no_answer(fetch_raw: FetchRaw, answer: bytes) -> None:
    with pytest.raises(FetchFailedError):
        fetch_raw(answer)


def make_answer(coding: bytes, body: bytes) -> bytes:
    return OK + b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s" % (coding, len(body), body)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        (b"gzip", GZIP),
        (b"GZip", GZIP),
        (b"x-gzip", GZIP),
        (b"gzip", gzip.compress(b"", mtime=0) + GZIP + gzip.compress(b"", mtime=0)),
        (b"gzip", GZIP + bytes(100)),
        (b"gzip", GZIP[: len(GZIP)] + bytes(70_000) + gzip.compress(b"", mtime=0) + bytes(1)),
        (b"gzip,", b"\x1f\x8b\x08\x0c" + bytes(5) + b"\xff\2\0exname\0" + GZIP[10:]),  # an extra field and a name
        (b", gzip , identity", GZIP),
        (b"gzip\r\nContent-Encoding: gzip", gzip.compress(GZIP, mtime=0)),
        (b"deflate", ZLIB),
        (b"deflate", zlib.compress(TEXT, wbits=9)),
        (b"deflate", RAW),
        (b"deflate", zlib.compress(TEXT, 0, wbits=-15)),
        (b"deflate, gzip", gzip.compress(ZLIB, mtime=0)),
        (b"identity", TEXT),
    ],
)
def test_a_whole_encoded_body_is_read_at_any_limit(fetch_raw: FetchRaw, coding: bytes, body: bytes) -> None:
    whole, cut = fetch_raw(make_answer(coding, body)), fetch_raw(make_answer(coding, body), limit=100)
    assert (whole.body, whole.size, whole.truncated) == (TEXT, 6_000, False)
    assert (cut.body, cut.truncated) == (TEXT[:100], True)


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"br"])
def test_an_empty_body_is_empty_in_every_encoding(fetch_raw: FetchRaw, coding: bytes) -> None:
    assert fetch_raw(make_answer(coding, b"")).body == b""


def test_a_body_larger_than_a_piece_is_unpacked_whole(fetch_raw: FetchRaw) -> None:
    zeros = bytes(3 * 65_536)
    for body in (gzip.compress(zeros), gzip.compress(gzip.compress(zeros))):
        coding = b"gzip" if len(gzip.decompress(body)) == len(zeros) else b"gzip, gzip"
        assert fetch_raw(make_answer(coding, body), limit=len(zeros)).body == zeros


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        (b"gzip", GZIP[:-1]),
        (b"gzip", GZIP[:-8]),
        (b"gzip", GZIP[: len(GZIP) // 2]),
        (b"gzip", GZIP[:5]),
        (b"gzip", GZIP + b"garbage"),
        (b"gzip", GZIP + bytes(9) + b"x"),
        (b"gzip", GZIP + bytes(9) + GZIP[:9]),
        (b"gzip", GZIP[:10]),
        (b"gzip", GZIP[:1]),
        (b"gzip", GZIP[:3] + b"\xe0" + GZIP[4:]),  # flags that no reader knows
        (b"gzip", bytes(9)),
        (b"gzip, gzip", GZIP),
        (b"x-gzip", GZIP[:-1]),
        (b"deflate", b"\x78\xbb\0\0\0\1abc"),  # an unknown dictionary
        (b"gzip", GZIP + GZIP[:20]),
        (b"gzip", GZIP[:-4] + b"\1\0\0\0"),  # the length in its trailer
        (b"gzip", GZIP[:-8] + b"\0\0\0\0" + GZIP[-4:]),  # its checksum
        (b"gzip", b"hello"),
        (b"deflate", ZLIB[:-1]),
        (b"deflate", ZLIB[:10]),
        (b"deflate", ZLIB + b"garbage"),
        (b"deflate", RAW[:-1]),
        (b"deflate", RAW + b"\0"),
        (b"deflate, gzip", gzip.compress(ZLIB[:-2], mtime=0)),
        (b"gzip, " * 6 + b"gzip", GZIP),
    ],
)
def test_an_encoded_body_that_is_cut_off_or_broken_is_a_failure(
    fetch_raw: FetchRaw, coding: bytes, body: bytes
) -> None:
    with pytest.raises(FetchFailedError, match=r"cut off|broken|behind its end|more than 5 content encodings"):
        fetch_raw(make_answer(coding, body))


CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ODD_SIZES = [b"", b" 5", b"-5", b"+5", b"0x5", b"g", b"1_0", b"\xd9\xa5", b"F" * 20, b"F" * 21, b"5 5", b"5,5"]
ODD_LENGTHS = [b"", b"-5", b"+5", b"0x5", b"5 5", b"5.0", b"5, 6", b"\xd9\xa5", b"9" * 30, b"five"]


@pytest.mark.parametrize("size", [b"5", b"0005", b"5;name=value", b'5;name="a;b"', b"5 ", b"5\t"])
def test_a_chunk_size_in_any_legal_form_is_read(fetch_raw: FetchRaw, size: bytes) -> None:
    for ending in (b"0\r\n\r\n", b"000\r\n\r\n", b"0\r\nX: trailer\r\n\r\n"):
        answer = fetch_raw(CHUNKED + size + b"\r\nhello\r\n" + ending)
        assert (answer.body, "x" in answer.headers) == (b"hello", False)


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 10\r\n\r\nhello",
        OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (len(GZIP) + 1, GZIP),
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nhello",
        OK + b"Transfer-Encoding: gzip\r\n\r\n" + GZIP,
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        *(CHUNKED + size + b"\r\nhello\r\n0\r\n\r\n" for size in ODD_SIZES),
        CHUNKED + b"5\r\nhello\r\n0\r\nno colon\r\n\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\nX: trailer\r\n",
        CHUNKED + b"5\nhello\n0\n\n",
        *(OK + b"Content-Length: %s\r\n\r\nhello" % length for length in ODD_LENGTHS),
    ],
)
def test_a_body_that_ends_early_or_is_framed_wrongly_is_a_failure(fetch_raw: FetchRaw, answer: bytes) -> None:
    with pytest.raises(FetchFailedError, match="the answer is malformed"):
        fetch_raw(answer)


@pytest.mark.parametrize(
    "line",
    [
        b"no colon",
        b": no name",
        b"Spaced : name",
        b"Odd name: x",
        b"N\xc3\xa4me: x",
        b"Nul: a\0b",
        b"<html>",
        b"Bare: a\rb",
    ],
)
def test_a_malformed_header_line_refuses_the_answer(fetch_raw: FetchRaw, line: bytes) -> None:
    chunked = b"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    with pytest.raises(FetchFailedError, match="the answer is malformed"):
        fetch_raw(OK + line + chunked)


@pytest.mark.parametrize(
    "start", [b"HTTP/1.1 200\r\n", b"HTTP/1.1 200 \xc3\x9c\r\n", b"HTTP/1.0 200 OK\r\n", OK[:-2] + b"\n"]
)
def test_an_answer_that_is_only_unusual_is_read(fetch_raw: FetchRaw, start: bytes) -> None:
    assert fetch_raw(start + b"X-Folded: a\r\n b\r\n\r\nhello").body == b"hello"


@pytest.mark.parametrize(
    ("lines", "name", "value"),
    [
        (b"Content-Type: text/plain\r\nContent-Type: text/plain", "content-type", "text/plain"),
        (b"Content-Type: text/html\r\ncontent-type: text/plain", "content-type", "text/html"),
        (b"Content-Length: 5\r\nContent-Length: 5", "content-length", "5"),
        (b"Content-Length: 5, 5", "content-length", "5"),
        (b"Location: /a\r\nLocation: /a", "location", "/a"),
        (b'ETag: "a"\r\nETag: "b"', "etag", '"a"'),
        (b"Date: Mon, 1\r\nDate: Mon, 1", "date", "Mon, 1"),
        (b"Vary: a\r\nVary: b", "vary", "a, b"),
        (b"Vary: a\r\nVary: a", "vary", "a"),
        (b"Vary: a\r\nVary: b\r\nvary: a", "vary", "a, b"),
        (b"X-Request-Id: 1\r\nX-Request-Id: 1", "x-request-id", "1"),
        (b"Refresh: 5; url=/a\r\nRefresh: 5; url=/a", "refresh", "5; url=/a"),
        (
            b"Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Origin: https://a",
            "access-control-allow-origin",
            "*",
        ),
        (b"Set-Cookie: a=1\r\nSet-Cookie: a=1", "set-cookie", "a=1, a=1"),
        (b"X-Folded: a\r\n\tb\r\n  c", "x-folded", "a b c"),
        (b"X-Name: gr\xc3\xbc\xc3\x9fe", "x-name", "grüße"),
        (b"X-Name: \xe6\x97\xa5\xe6\x9c\xac", "x-name", "日本"),
        (b"X-Name: \xd0\xbf\xd1\x80", "x-name", "пр"),
        (b"X-Name: \xf0\x9f\x98\x80", "x-name", "😀"),
        (b"X-Name: gr\xfc\xdfe", "x-name", "grüße"),
        (b"X-Name: \xc2\xa0x", "x-name", "\xa0x"),
    ],
)
def test_a_header_has_the_value_that_was_sent(fetch_raw: FetchRaw, lines: bytes, name: str, value: str) -> None:
    assert fetch_raw(OK + lines + b"\r\n\r\nhello").headers[name] == value


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_two_different_places_are_refused(fetch_raw: FetchRaw, status: int) -> None:
    with pytest.raises(FetchFailedError, match="two different places"):
        fetch_raw(b"HTTP/1.1 %d Go\r\nLocation: /a\r\nLocation: /b\r\n\r\n" % status)


@pytest.mark.parametrize("lengths", [(5, 6), (6, 5), (0, 5), (5, 50), (5, 4)])
def test_two_different_lengths_are_refused(fetch_raw: FetchRaw, lengths: tuple[int, int]) -> None:
    with pytest.raises(FetchFailedError, match="Content-Length"):
        fetch_raw(OK + b"Content-Length: %d\r\nContent-Length: %d\r\n\r\nhello" % lengths)


HEADS = [OK, b"HTTP/1.1 103 E\r\n\r\n", b"HTTP/1.1 302 Go\r\n", b"Location: http://[\r\n", b"no colon\r\n", b"\r\n"]
HEADS += [b"Content-Encoding: gzip\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n"]
BODIES = [GZIP, ZLIB, b"5\r\nhello\r\n", b"0\r\n\r\n", b"hello", b"\0", b"\xff", b": "]


@examples(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=count_examples(60))
@given(parts=st.lists(st.sampled_from(HEADS + BODIES) | st.binary(max_size=20), max_size=12), starts_well=st.booleans())
def test_any_bytes_are_an_answer_or_a_clear_error(fetch_raw: FetchRaw, parts: list[bytes], starts_well: bool) -> None:
    with suppress(LeasewayError):
        assert 200 <= fetch_raw(b"".join([OK if starts_well else b"", *parts])).status < 1_000
