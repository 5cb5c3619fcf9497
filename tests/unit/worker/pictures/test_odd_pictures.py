"""Pictures as cameras, scanners and editors really write them: odd transparency, profiles, comments and formats."""

import base64
import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image, ImageCms

from leaseway.errors import InvalidInputError
from leaseway.jobs.types import JobError, PermanentJobError
from worker.executors import image_resize
from worker.pictures.options import Fit, Format
from worker.pictures.reading import read_upright
from worker.pictures.scaling import encode, fit_into

RGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY_PROFILE = RGB_PROFILE[:16] + b"GRAY" + RGB_PROFILE[20:]


def encode_picture(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(depth: int, colour: int, row: bytes, *chunks: bytes, width: int = 2, after: bytes = b"") -> bytes:
    """A PNG of one row, with chunks before and after its data."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, depth, colour, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0" + row))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + data + after + chunk(b"IEND", b"")


def resize(source: bytes, file_format: Format, size: tuple[int, int] = (20, 20), fit: Fit = "fill") -> Image.Image:
    picture, _ = read_upright(source, size)
    written = encode(fit_into(picture, size, fit), file_format, 90, picture.info.get("icc_profile"))
    return Image.open(io.BytesIO(written))


# ---- Colour profiles --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fit", ["fill", "contain", "cover", "inside"])
@pytest.mark.parametrize("file_format", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "L+tRNS", "P", "P+tRNS", "RGB", "RGB+tRNS", "RGBA", "I;16"])
@pytest.mark.parametrize("profile", [GREY_PROFILE, RGB_PROFILE])
def test_a_profile_is_never_of_another_colour_space_than_its_picture(
    profile: bytes, mode: str, file_format: Format, fit: Fit
) -> None:
    # Given a PNG of that mode that carries the profile
    name, _, transparent = mode.partition("+")
    options = {"transparency": (0, 0, 0) if name == "RGB" else 0} if transparent else {}
    source = encode_picture(Image.new(name, (40, 10)), "PNG", icc_profile=profile, **options)

    # When it is resized
    picture = resize(source, file_format, fit=fit)

    # Then a profile that it still has describes its own samples
    space = b"GRAY" if picture.mode in {"L", "LA", "1"} else b"RGB "
    assert picture.info.get("icc_profile", bytes(16) + space)[16:20] == space


@pytest.mark.parametrize(("mode", "expected"), [("L", "L"), ("LA", "LA"), ("L+tRNS", "LA"), ("I;16", "L")])
def test_a_grey_picture_stays_grey_and_keeps_its_profile(mode: str, expected: str) -> None:
    name, _, transparent = mode.partition("+")
    options = {"transparency": 0} if transparent else {}
    picture = resize(encode_picture(Image.new(name, (40, 40)), "PNG", icc_profile=GREY_PROFILE, **options), "png")
    assert (picture.mode, picture.info["icc_profile"]) == (expected, GREY_PROFILE)


# ---- Transparency -----------------------------------------------------------------------------------------------

SIXTEEN_BITS_GREY = png(16, 0, struct.pack(">HH", 0x1234, 0xC8C8), chunk(b"tRNS", struct.pack(">H", 0x1234)))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param(SIXTEEN_BITS_GREY, (200, 255), id="16 bits grey"),
        pytest.param(
            png(16, 0, struct.pack(">HH", 0x1235, 0xC8C8), chunk(b"tRNS", struct.pack(">H", 0x1234))),
            None,
            id="16 bits grey, of which no sample is exactly the transparent one",
        ),
        pytest.param(png(8, 0, b"\x12\xc8", chunk(b"tRNS", b"\0\x12")), (200, 255), id="8 bits grey"),
        pytest.param(png(4, 0, b"\x1c", chunk(b"tRNS", b"\0\1")), (204, 255), id="4 bits grey"),
        pytest.param(png(2, 0, b"\x60", chunk(b"tRNS", b"\0\1")), (170, 255), id="2 bits grey"),
        pytest.param(png(1, 0, b"\x40", chunk(b"tRNS", b"\0\0")), (255, 255), id="1 bit, black is transparent"),
        pytest.param(png(1, 0, b"\x80", chunk(b"tRNS", b"\0\1")), (0, 255), id="1 bit, white is transparent"),
        pytest.param(
            png(8, 2, b"\1\2\3\xc8\xc8\xc8", chunk(b"tRNS", b"\0\1\0\2\0\3")), (200, 200, 200, 255), id="8 bits colour"
        ),
        pytest.param(
            png(16, 2, struct.pack(">6H", 256, 512, 768, 51400, 51400, 51400), chunk(b"tRNS", b"\1\0\2\0\3\0")),
            (200, 200, 200, 255),
            id="16 bits colour",
        ),
        pytest.param(
            png(8, 3, b"\0\1", chunk(b"PLTE", b"\1\2\3\xc8\xc8\xc8"), chunk(b"tRNS", b"\0")),
            (200, 200, 200, 255),
            id="palette",
        ),
    ],
)
def test_the_transparent_colour_of_a_png_is_transparent_and_no_other_is(
    source: bytes, expected: tuple[int, ...] | None
) -> None:
    # When two pixels are read, the first of which has the transparent colour (but in the case without one)
    picture, _ = read_upright(source, (2, 1))

    # Then the first alone is transparent, and the second has its own colour
    alphas = [picture.getpixel((x, 0))[-1] for x in (0, 1)]
    assert alphas == ([0, 255] if expected else [255, 255])
    assert picture.getpixel((1, 0)) == (expected or (200, 255))


# ---- Comments ---------------------------------------------------------------------------------------------------

BLAB = b"b" * 3_000_000


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(chunk(b"zTXt", b"Comment\0\0" + zlib.compress(BLAB)), b"", id="zTXt before the data"),
        pytest.param(b"", chunk(b"zTXt", b"Comment\0\0" + zlib.compress(BLAB)), id="zTXt after the data"),
        pytest.param(chunk(b"iTXt", b"XML\0\1\0\0\0" + zlib.compress(BLAB)), b"", id="iTXt, compressed"),
        pytest.param(chunk(b"tEXt", b"Comment\0" + BLAB), b"", id="tEXt"),
        pytest.param(chunk(b"tEXt", b"Comment\0" + BLAB[:900_000]) * 100, b"", id="a hundred comments"),
        pytest.param(chunk(b"iCCP", b"p\0\0" + zlib.compress(BLAB)), b"", id="a profile of 3 MB"),
        pytest.param(chunk(b"zTXt", b"Comment\0\0 not zlib"), b"", id="a broken comment"),
    ],
)
def test_a_comment_of_any_size_refuses_no_picture(before: bytes, after: bytes) -> None:
    picture = resize(png(8, 0, b"\xc8\xc8", before, after=after), "png")
    assert picture.getpixel((10, 10)) == 200
    assert "icc_profile" not in picture.info


GREY_CHUNK = chunk(b"iCCP", b"p\0\0" + zlib.compress(GREY_PROFILE))
TURN = struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)  # EXIF: lies on its side


def corrupt(text: bytes) -> bytes:
    """A chunk with a wrong CRC."""
    return text[:-1] + bytes([text[-1] ^ 1])


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(chunk(b"tRNS", b""), id="an empty transparency"),
        pytest.param(chunk(b"tRNS", b"\0\xc8\0"), id="a transparency of three bytes"),
        pytest.param(corrupt(chunk(b"tRNS", b"\0\xc8")), id="a transparency with a wrong CRC"),
        pytest.param(chunk(b"iCCP", b"p" * 10), id="a profile without an end of its name"),
        pytest.param(chunk(b"iCCP", b"p\0\1" + zlib.compress(GREY_PROFILE)), id="a profile in an unknown compression"),
        pytest.param(chunk(b"iCCP", b"\0\0" + zlib.compress(GREY_PROFILE)), id="a profile without a name"),
        pytest.param(corrupt(GREY_CHUNK), id="a profile with a wrong CRC"),
        pytest.param(chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(50_000_000))), id="a profile that is a bomb"),
        pytest.param(chunk(b"iTXt", b"K\0\1\0\0\0" + zlib.compress(bytes(50_000_000))), id="a comment that is a bomb"),
        pytest.param(corrupt(chunk(b"tEXt", b"K\0x")), id="a comment with a wrong CRC"),
        pytest.param(chunk(b"eXIf", b"garbage"), id="broken EXIF data"),
        pytest.param(corrupt(chunk(b"eXIf", TURN)), id="EXIF data with a wrong CRC"),
        pytest.param(chunk(b"gAMA", b"\0") + chunk(b"cHRM", b"x") + chunk(b"sRGB", b""), id="colours too short"),
        pytest.param(chunk(b"pHYs", b"") + chunk(b"tIME", b"x") + chunk(b"bKGD", b""), id="sizes too short"),
        pytest.param(
            chunk(b"acTL", struct.pack(">II", 1, 0))
            + chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 99_999, 99_999, 0, 0, 1, 1, 0, 0)),
            id="an animation larger than its picture",
        ),
        pytest.param(chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)), id="an animation of two billion frames"),
        pytest.param(chunk(b"abCd", b"x" * 100), id="a chunk that nobody knows"),
    ],
)
def test_a_chunk_that_the_picture_can_do_without_refuses_none(chunks: bytes) -> None:
    picture, _ = read_upright(png(8, 0, b"\xc8\xc8", chunks), (2, 1))
    assert (picture.mode, picture.size, picture.getpixel((0, 0))) == ("L", (2, 1), 200)
    assert picture.info == {}


@pytest.mark.parametrize("alphas", [b"\0", b"\0\xff", b"\0" * 3, b"\0" * 300])
def test_a_palette_with_more_alphas_than_colours_is_opaque(alphas: bytes) -> None:
    source = png(8, 3, b"\0\1", chunk(b"PLTE", b"\1\2\3\xc8\xc8\xc8"), chunk(b"tRNS", alphas))
    picture, _ = read_upright(source, (2, 1))
    assert picture.getpixel((0, 0)) == ((1, 2, 3, 0) if len(alphas) <= 2 else (1, 2, 3))


@pytest.mark.parametrize("sample", [0, 0x1234, 0x12FF, 0xFFFF])
def test_a_grey_picture_of_16_bits_with_alpha_stays_grey_and_keeps_its_profile(sample: int) -> None:
    source = png(16, 4, struct.pack(">4H", sample, 0x8000, 0xFFFF, 0xFFFF), GREY_CHUNK)
    picture, _ = read_upright(source, (2, 1))
    assert (picture.mode, picture.getpixel((0, 0))) == ("LA", (sample >> 8, 128))
    assert resize(source, "png").info["icc_profile"] == GREY_PROFILE


@pytest.mark.parametrize("turn", [1, 3, 6, 8])
def test_a_png_is_turned_by_its_exif_data(turn: int) -> None:
    exif = chunk(b"eXIf", TURN.replace(b"\0\1\0\6", struct.pack(">HH", 1, turn)))
    picture, _ = read_upright(png(8, 0, b"\0\xc8", exif), (2, 1))
    assert picture.size == ((2, 1) if turn in (1, 3) else (1, 2))
    assert picture.getpixel((0, 0)) == (0 if turn in (1, 6) else 200)


# ---- Formats ----------------------------------------------------------------------------------------------------


def ftyp(brand: bytes) -> bytes:
    return struct.pack(">I", 24) + b"ftyp" + brand + bytes(4) + b"mif1" + brand + bytes(100)


@pytest.mark.parametrize(
    ("source", "description"),
    [
        (b"", "it is empty"),
        (ftyp(b"heic"), "it looks like HEIC"),
        (ftyp(b"mif1"), "it looks like HEIC"),
        (ftyp(b"isom"), "it looks like a video"),
        (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "it looks like SVG"),
        (b"\xef\xbb\xbf <!DOCTYPE html><title>404</title>", "it looks like HTML"),
        (b"%PDF-1.7\n", "it looks like PDF"),
        (encode_picture(Image.new("L", (4, 4)), "TIFF"), "it looks like TIFF"),
        (encode_picture(Image.new("L", (4, 4)), "JPEG2000"), "it looks like JPEG 2000"),
        (b"no picture at all", "its format is unknown"),
        (ftyp(b"avif")[:30], "it looks like a broken AVIF"),
        (ftyp(b"avis")[:24], "it looks like a broken AVIF"),
        (b"<!-- cached -->\n<html><body>404</body></html>", "it looks like HTML"),
        (b"<!doctype html><body><svg/></body>", "it looks like HTML"),
        (b"<head><title>404</title>", "it looks like HTML"),
        ("<?xml version='1.0'?><svg/>".encode("utf-16"), "it looks like SVG"),
        (b"<!-- " + b"x" * 2_000 + b" --><svg/>", "it looks like SVG"),
        (b"\x89PNG\r\n\x1a\n", "it looks like a broken PNG"),
        (png(3, 0, b"\0\0"), "it looks like a broken PNG"),
        (corrupt(png(8, 0, b"\0\0")[:33]), "it looks like a broken PNG"),
        (b"\xff\xd8\xff\xd9", "it looks like a broken JPEG"),
        (b"GIF89a\1\0\1\0\0\0\0;", "it looks like a broken GIF"),
        (b"\x1a\x45\xdf\xa3", "it looks like a video"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "its format is unknown"),
        (b"\xff\x4f\xff\x51", "it looks like JPEG 2000"),
    ],
)
def test_what_is_no_readable_picture_is_named_with_what_can_be_read(source: bytes, description: str) -> None:
    with pytest.raises(PermanentJobError) as failure:
        read_upright(source, (8, 8))
    assert str(failure.value) == (
        f"the source is not a picture that can be read: {description}; JPEG, PNG, WebP, GIF, BMP and AVIF can be read"
    )


@pytest.mark.parametrize(
    ("source", "described"),
    [
        (png(8, 3, b"\0\1"), "a broken PNG (AssertionError)"),
        (encode_picture(Image.effect_noise((90, 90), 90), "PNG")[:800], "a broken PNG (image file is truncated"),
        (encode_picture(Image.effect_noise((90, 90), 90), "JPEG")[:1500], "a broken JPEG (image file is truncated"),
        (encode_picture(Image.effect_noise((90, 90), 90), "GIF")[:-90], "a broken GIF (image file is truncated"),
        (
            encode_picture(Image.effect_noise((90, 90), 90), "WEBP")[:800],
            "a broken WebP (could not create decoder object)",
        ),
        (encode_picture(Image.new("RGB", (90, 90)), "BMP")[:100], "a broken BMP (image file is truncated"),
        (b"BM" + bytes(60), "a broken BMP (Unsupported BMP header type"),
    ],
)
def test_a_broken_picture_is_named_with_what_is_wrong(source: bytes, described: str) -> None:
    with pytest.raises(PermanentJobError) as failure:
        read_upright(source, (8, 8))
    assert str(failure.value).startswith(f"the source is not a picture that can be read: it is {described}")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P"])
def test_avif_is_read(mode: str) -> None:
    source = encode_picture(Image.new(mode, (40, 40), 200 if mode in {"L", "P"} else None or 0), "AVIF", quality=100)
    picture, name = read_upright(source, (20, 20))
    assert (picture.size, name) == ((40, 40), "AVIF")


def test_a_cut_off_avif_is_refused_for_good() -> None:
    source = encode_picture(Image.effect_noise((90, 90), 90), "AVIF")
    with pytest.raises(PermanentJobError, match="not a picture that can be read"):
        read_upright(source[: len(source) // 2], (20, 20))


# ---- Sources in the payload -------------------------------------------------------------------------------------

PIXEL = encode_picture(Image.new("RGB", (1, 1)), "PNG")
PLAIN = base64.b64encode(PIXEL).decode()


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        base64.encodebytes(PIXEL).decode(),
        "\r\n".join(PLAIN[start : start + 10] for start in range(0, len(PLAIN), 10)),
        f"\t{PLAIN} \n",
        f"data:image/png;base64,{PLAIN}",
        f"data:;base64,{PLAIN}",
        f"data:image/png; base64,{PLAIN}",
        f"data:image/png;name=a%2Cb;  BASE64 ,{PLAIN}",
        f"data:image/png;base64,{PLAIN[:20]}%0D%0A{PLAIN[20:]}",
        f"data:base64;base64,{PLAIN}",
        f"DATA:image/png;charset=x;BASE64,{PLAIN.replace('+', '%2B').replace('/', '%2F').replace('=', '%3D')}",
        "data:image/png," + "".join(f"%{byte:02X}" for byte in PIXEL),
    ],
)
def test_base64_is_taken_in_every_form_that_people_send(text: str) -> None:
    assert image_resize._decode_inline(text) == PIXEL


@pytest.mark.parametrize(
    "text",
    [
        *("é", "\udc80", "eA", "eA=", "e", "e*==", "====", "data:image/png;base64", "data:;base64,é", "\u2028", "ⅷⅷ=="),
        *("AAAA====", "AAAA=", "AAA=AAA=", "AA=A", "-_-_", "\ufeffAAAA", "AA\0A", "data:;base64,AAAA="),
        *("data:;base64,%ZZ", " data:;base64,AAAA"),
    ],
)
def test_what_is_not_base64_is_refused_with_its_field(text: str) -> None:
    payload = image_resize.ResizePayload(source=image_resize.Source(base64=text), width=1, height=1)
    with pytest.raises(InvalidInputError) as refusal:
        image_resize.check(payload, "anna")
    assert refusal.value.field == "payload.source.base64"


@pytest.mark.parametrize(("status", "permanent"), [(404, True), (401, True), (408, False), (429, False), (503, False)])
def test_a_server_that_refuses_the_request_is_not_asked_again(status: int, permanent: bool) -> None:
    assert image_resize._is_permanent(status) is permanent
    assert issubclass(PermanentJobError, JobError)
