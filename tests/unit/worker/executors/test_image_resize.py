"""IMAGE_RESIZE makes real pictures: right size, right side up, right colours; and survives hostile ones."""

import base64
import io
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from moto import mock_aws
from PIL import Image, ImageCms, ImageDraw

from leaseway import aws, clock, objects
from leaseway.errors import InvalidInputError
from leaseway.jobs.types import JobError, JsonObject, PermanentJobError
from leaseway.settings import settings
from support.fuzz import count_examples
from support.http_servers import CountingServer, Reply, run_counting_server
from support.running_job import RunningJob
from worker.executors import image_resize
from worker.pictures import reading, scaling

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
Resize = Callable[..., tuple[dict[str, Any], Image.Image]]


def encode(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def quarters(width: int, height: int) -> Image.Image:
    """Red and green above, blue and white below: any turn, flip or crop shows."""
    picture = Image.new("RGB", (width, height), RED)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((width // 2, 0, width, height // 2 - 1), GREEN)
    draw.rectangle((0, height // 2, width // 2 - 1, height), BLUE)
    draw.rectangle((width // 2, height // 2, width, height), WHITE)
    return picture


def corners(picture: Image.Image) -> list[tuple[int, ...]]:
    """The colours of the four quarters, each channel rounded to 0 or 255: JPEG is never exact."""
    width, height = picture.size
    places = [(1, 1), (3, 1), (1, 3), (3, 3)]
    pixels = [picture.convert("RGB").getpixel((x * width // 4, y * height // 4)) for x, y in places]
    return [tuple(255 if channel > 127 else 0 for channel in pixel) for pixel in pixels]


def payload_of(source: bytes | dict[str, str], width: int, height: int, **options: Any) -> dict[str, Any]:
    """A job's payload; bytes go along as base64."""
    given_source = source if isinstance(source, dict) else {"base64": base64.b64encode(source).decode()}
    return {"source": given_source, "width": width, "height": height, **options}


@pytest.fixture
def bucket(environment: None) -> Iterator[None]:
    """The bucket alone: pictures need no table."""
    with mock_aws():
        aws.client("s3").create_bucket(Bucket="leaseway-bucket")
        yield


@pytest.fixture
def resize(run_job: Callable[..., JsonObject], bucket: None) -> Resize:
    """Run the job on a picture; returns the result and what is in the bucket, decoded."""

    def resize_and_read(source: bytes | dict[str, str], width: int, height: int, **options: Any) -> Any:
        result = run_job("IMAGE_RESIZE", payload_of(source, width, height, **options))
        stored = Image.open(io.BytesIO(objects.get_bytes(result["key"], result["size"])))
        stored.load()
        return result, stored

    return resize_and_read


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[CountingServer]:
    with run_counting_server() as counting:
        monkeypatch.setenv("HTTP_ALLOWED_HOSTS", counting.pair)
        settings.cache_clear()
        yield counting


def test_an_eight_megapixel_upload_comes_back_at_the_asked_size(resize: Resize) -> None:
    # Given a camera's JPEG, 3456 x 2304, uploaded under the owner's prefix
    key = objects.create_upload("anna", "image/jpeg", 1).key
    objects.put_bytes(key, encode(quarters(3456, 2304), "JPEG"), "image/jpeg")

    # When it is resized
    with clock.fixed(lambda: 1_700_000_000.0):
        result, picture = resize({"key": key}, 300, 200)

    # Then a JPEG of that size is in the bucket, described, with a link that soon ends
    assert (picture.format, picture.size) == ("JPEG", (300, 200))
    assert corners(picture) == [RED, GREEN, BLUE, WHITE]
    assert result["url"].startswith("https://")
    assert result["key"] in result["url"]
    assert {name: result[name] for name in ("key", "content_type", "width", "height", "url_expires_at")} == {
        "key": "owners/anna/jobs/00000000000000000000000000000001/image-1.jpg",
        "content_type": "image/jpeg",
        "width": 300,
        "height": 200,
        "url_expires_at": "2023-11-14T22:18:20.000Z",
    }
    assert objects.stat(result["key"]) == objects.ObjectFacts(size=result["size"], content_type="image/jpeg")


def test_a_source_may_be_a_url(resize: Resize, server: CountingServer) -> None:
    server.replies["/cat.png"] = Reply(body=encode(quarters(40, 40), "PNG"))
    result, picture = resize({"url": server.url("/cat.png")}, 20, 20)
    assert (picture.format, picture.size, result["content_type"]) == ("PNG", (20, 20), "image/png")
    assert server.hits == ["/cat.png"]


def test_a_url_that_answers_with_an_error_is_no_picture(
    run_job: Callable[..., JsonObject], server: CountingServer
) -> None:
    server.replies["/gone"] = Reply(404)
    with pytest.raises(JobError, match="status 404"):
        run_job("IMAGE_RESIZE", payload_of({"url": server.url("/gone")}, 20, 20))


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b"<html>not found</html>"),
        Reply(200, b""),
        Reply(200, b"\x89PNG\r\n\x1a\n"),
        Reply(302, b"", {"Location": "/picture"}),
        Reply(302, b"", {"Location": "http://10.0.0.1/"}),
        Reply(302, b"", {"Location": "http://["}),
        Reply(404),
        Reply(410),
        Reply(451),
        Reply(200, b"x" * 2_000),
    ],
    ids=lambda reply: f"{reply.status} {reply.headers} {reply.body[:20]!r}",
)
def test_a_url_that_no_other_attempt_makes_a_picture_fails_for_good(
    run_job: Callable[..., JsonObject], server: CountingServer, monkeypatch: pytest.MonkeyPatch, reply: Reply
) -> None:
    monkeypatch.setenv("UPLOAD_LIMIT", "1999")
    settings.cache_clear()
    server.replies["/picture"] = reply
    with pytest.raises(PermanentJobError):
        run_job("IMAGE_RESIZE", payload_of({"url": server.url("/picture")}, 20, 20))


@pytest.mark.parametrize(
    "reply",
    [
        Reply(500),
        Reply(503),
        Reply(408),
        Reply(425),
        Reply(429),
        Reply(302),
        Reply(200, b"hello", {"Content-Encoding": "gzip"}),
        Reply(200, b"zz\r\n", {"Transfer-Encoding": "chunked"}),
    ],
    ids=lambda reply: f"{reply.status} {reply.headers}",
)
def test_a_url_that_may_be_a_picture_later_is_tried_again(
    run_job: Callable[..., JsonObject], server: CountingServer, reply: Reply
) -> None:
    server.replies["/picture"] = reply
    with pytest.raises(JobError) as failure:
        run_job("IMAGE_RESIZE", payload_of({"url": server.url("/picture")}, 20, 20))
    assert not isinstance(failure.value, PermanentJobError)


def test_a_url_with_more_bytes_than_an_upload_may_have_is_refused(
    run_job: Callable[..., JsonObject], server: CountingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPLOAD_LIMIT", "100")
    settings.cache_clear()
    server.replies["/cat.png"] = Reply(body=encode(quarters(400, 400), "PNG"))
    with pytest.raises(JobError, match="more than 100 bytes"):
        run_job("IMAGE_RESIZE", payload_of({"url": server.url("/cat.png")}, 20, 20))


def test_an_upload_that_never_arrived_is_a_clear_error(resize: Resize) -> None:
    with pytest.raises(JobError, match="no object owners/anna/uploads/00"):
        resize({"key": "owners/anna/uploads/00"}, 20, 20)


def test_a_key_that_is_foreign_by_now_is_refused_when_it_runs_too(job: RunningJob, new_job: type[RunningJob]) -> None:
    payload = image_resize.ResizePayload(source=image_resize.Source(key="owners/bert/uploads/1"), width=1, height=1)
    with pytest.raises(JobError, match="under owners/anna/"):
        image_resize.run(payload, new_job(owner="anna"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_format_is_the_sources_unless_another_is_asked_for(resize: Resize, kind: str) -> None:
    source = encode(quarters(40, 40), kind, quality=95)
    assert resize(source, 20, 20)[1].format == kind
    for name in ("jpeg", "png", "webp"):
        result, picture = resize(source, 20, 20, format=name)
        assert (picture.format, result["content_type"]) == (name.upper(), f"image/{name}")
        assert corners(picture) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize("kind", ["GIF", "BMP"])
def test_formats_that_are_only_read_become_png(resize: Resize, kind: str) -> None:
    assert resize(encode(quarters(40, 40), kind), 20, 20)[1].format == "PNG"


def test_a_photo_with_a_preview_inside_stays_a_jpeg(resize: Resize) -> None:
    source = encode(quarters(40, 40), "MPO", save_all=True, append_images=[quarters(10, 10)])
    _, picture = resize(source, 20, 20)
    assert (picture.format, picture.size) == ("JPEG", (20, 20))


def test_quality_is_used(resize: Resize) -> None:
    source = encode(Image.effect_noise((300, 300), 90), "PNG")
    sizes = [resize(source, 200, 200, format="jpeg", quality=quality)[0]["size"] for quality in (5, 50, 95)]
    assert sizes == sorted(set(sizes))


def test_cover_fills_the_size_and_crops_the_middle(resize: Resize) -> None:
    # Given three equal stripes
    stripes = Image.new("RGB", (300, 100), GREEN)
    stripes.paste(RED, (0, 0, 100, 100))
    stripes.paste(BLUE, (200, 0, 300, 100))
    # Then a square shows the middle one alone
    _, picture = resize(encode(stripes, "PNG"), 50, 50, fit="cover")
    assert picture.size == (50, 50)
    assert corners(picture) == [GREEN] * 4
    # And cover is the default
    assert corners(resize(encode(stripes, "PNG"), 50, 50)[1]) == [GREEN] * 4


def test_contain_shows_all_of_it_between_transparent_bars(resize: Resize) -> None:
    _, picture = resize(encode(quarters(200, 100), "PNG"), 80, 80, fit="contain")
    assert picture.size == (80, 80)
    assert picture.getpixel((40, 10))[3] == 0
    assert picture.getpixel((40, 70))[3] == 0
    assert corners(picture.crop((0, 20, 80, 60))) == [RED, GREEN, BLUE, WHITE]


def test_the_bars_of_a_jpeg_are_white(resize: Resize) -> None:
    _, picture = resize(encode(Image.new("RGB", (200, 100), RED), "PNG"), 80, 80, fit="contain", format="jpeg")
    assert picture.size == (80, 80)
    assert min(picture.getpixel((40, 5))) > 250
    assert corners(picture.crop((0, 20, 80, 60))) == [RED] * 4


def test_fill_stretches(resize: Resize) -> None:
    _, picture = resize(encode(quarters(200, 100), "PNG"), 30, 90, fit="fill")
    assert picture.size == (30, 90)
    assert corners(picture) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize(
    ("source", "size", "expected"),
    [((200, 100), (50, 50), (50, 25)), ((100, 200), (50, 50), (25, 50)), ((20, 10), (50, 50), (50, 25))],
)
def test_inside_keeps_the_proportions_within_the_size(
    resize: Resize, source: tuple[int, int], size: tuple[int, int], expected: tuple[int, int]
) -> None:
    result, picture = resize(encode(quarters(*source), "PNG"), *size, fit="inside")
    assert picture.size == expected == (result["width"], result["height"])


@pytest.mark.parametrize("fit", ["contain", "cover", "fill", "inside"])
def test_a_hair_of_a_picture_still_has_a_pixel(resize: Resize, fit: str) -> None:
    _, picture = resize(encode(Image.new("RGB", (2000, 1), RED), "PNG"), 10, 10, fit=fit)
    assert picture.size == ((10, 1) if fit == "inside" else (10, 10))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_is_turned_upright(resize: Resize, kind: str) -> None:
    as_stored = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    for orientation, turn in as_stored.items():
        # Given a scene of 160 x 80 that the camera stored turned, with a note how to turn it back
        scene = quarters(160, 80)
        stored = scene if turn is None else scene.transpose(turn)
        exif = Image.Exif()
        exif[0x0112] = orientation

        # When it is resized
        _, picture = resize(encode(stored, kind, exif=exif, quality=95), 40, 20)

        # Then it is the scene, and says no more that it lies on its side
        assert picture.size == (40, 20), orientation
        assert corners(picture) == [RED, GREEN, BLUE, WHITE], orientation
        assert dict(picture.getexif()) == {}, orientation


def test_a_broken_note_of_the_orientation_does_not_refuse_the_picture(resize: Resize) -> None:
    source = encode(quarters(40, 40), "JPEG", exif=b"Exif\0\0garbage that is no TIFF header")
    assert resize(source, 20, 20)[1].size == (20, 20)


@pytest.mark.parametrize("written", ["jpeg", "png", "webp"])
def test_metadata_such_as_the_place_of_a_photo_is_dropped(resize: Resize, written: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "camera of anna"
    source = encode(quarters(40, 40), "JPEG", exif=exif, comment=b"a secret", xmp=b"<x:xmpmeta>home</x:xmpmeta>")
    result, _ = resize(source, 20, 20, format=written)
    stored = objects.get_bytes(result["key"], result["size"])
    assert [word for word in (b"anna", b"secret", b"home") if word in source] == [b"anna", b"secret", b"home"]
    assert [word for word in (b"anna", b"secret", b"home") if word in stored] == []


def test_the_colour_profile_is_kept(resize: Resize) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    source = encode(quarters(40, 40), "JPEG", icc_profile=profile)
    for name in ("jpeg", "png", "webp"):
        assert resize(source, 20, 20, format=name)[1].info["icc_profile"] == profile


def test_transparency_survives_where_the_format_has_it_and_is_white_in_a_jpeg(resize: Resize) -> None:
    source = encode(Image.new("RGBA", (40, 40), (255, 0, 0, 0)), "PNG")
    assert resize(source, 20, 20)[1].getpixel((10, 10))[3] == 0
    assert resize(source, 20, 20, format="webp")[1].getpixel((10, 10))[3] == 0
    assert min(resize(source, 20, 20, format="jpeg")[1].getpixel((10, 10))) > 250


def bright_grey(mode: str) -> bytes:
    """A picture of brightness 200 in that colour mode; of 255 where there are only two."""
    colours = {"1": 1, "I;16": 51_400, "CMYK": (0, 0, 0, 55), "LA": (200, 255), "RGBA": (200, 200, 200, 255)}
    if mode in ("P", "P with transparency"):
        palette = Image.new("RGB", (40, 40), (200, 200, 200)).quantize(4)
        return encode(palette, "PNG", **({"transparency": 3} if mode != "P" else {}))
    picture = Image.new(mode, (40, 40), colours.get(mode, 200 if mode == "L" else (200, 200, 200)))
    return encode(picture, "JPEG" if mode == "CMYK" else "PNG")


@pytest.mark.parametrize("written", ["jpeg", "png", "webp"])
def test_every_colour_mode_is_resized_to_every_format(resize: Resize, written: str) -> None:
    for mode in ("1", "L", "LA", "P", "P with transparency", "RGB", "RGBA", "I;16", "CMYK"):
        _, resized = resize(bright_grey(mode), 20, 20, format=written)
        assert resized.size == (20, 20), mode
        brightness = resized.convert("L").getpixel((10, 10))
        assert abs(brightness - (255 if mode == "1" else 200)) <= 3, mode


def test_a_big_jpeg_is_decoded_no_larger_than_it_must_be(resize: Resize, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[tuple[int, int]] = []
    scaled = scaling._resize
    monkeypatch.setattr(
        scaling, "_resize", lambda picture, *rest: decoded.append(picture.size) or scaled(picture, *rest)
    )
    resize(encode(quarters(3200, 1600), "JPEG"), 200, 100)
    assert decoded == [(400, 200)]


def test_of_an_animation_the_first_frame_is_taken(resize: Resize) -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in (RED, GREEN, BLUE)]
    for kind in ("GIF", "WEBP", "PNG"):
        source = encode(frames[0], kind, save_all=True, append_images=frames[1:])
        _, picture = resize(source, 20, 20)
        assert corners(picture) == [RED] * 4
        assert getattr(picture, "n_frames", 1) == 1


def png_bomb(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes whose header promises that many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 10_000))
        + chunk(b"IEND", b"")
    )


def gif_bomb(width: int, height: int) -> bytes:
    """A GIF whose screen is one pixel and whose frame is not."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return screen + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\0;"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("make", [png_bomb, gif_bomb])
@pytest.mark.parametrize(("width", "height"), [(50_001, 1_000), (10_000, 9_000), (60_000, 60_000)])
def test_a_bomb_stops_at_its_header(
    run_job: Callable[..., JsonObject],
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[int, int], bytes],
    width: int,
    height: int,
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a pixel was decoded")

    monkeypatch.setattr(Image.Image, "load", never)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", never)
    with pytest.raises(JobError, match=r"pixels.* limit (is|of) 50000000"):
        run_job("IMAGE_RESIZE", payload_of(make(width, height), 10, 10))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_the_limit_itself_is_allowed(resize: Resize, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_PIXELS", "1600")
    settings.cache_clear()
    assert resize(encode(quarters(40, 40), "PNG"), 20, 20)[1].size == (20, 20)
    with pytest.raises(JobError, match="41 x 40 pixels, the limit is 1600"):
        resize(encode(quarters(41, 40), "PNG"), 20, 20)


@pytest.mark.parametrize(
    "source",
    [
        b"no picture",
        b"\x89PNG\r\n\x1a\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        encode(quarters(40, 40), "JPEG")[:300],
        encode(quarters(40, 40), "TIFF"),
        png_bomb(200, 200),
    ],
)
def test_a_broken_picture_is_a_clear_error(run_job: Callable[..., JsonObject], source: bytes) -> None:
    with pytest.raises(JobError, match="not a picture that can be read"):
        run_job("IMAGE_RESIZE", payload_of(source, 10, 10))


SOUND = [encode(quarters(24, 24), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP")]


@examples(max_examples=count_examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    source=st.sampled_from(SOUND),
    damage=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4)), max_size=4),
    share=st.floats(0.1, 1),
)
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_picture_is_resized_or_a_clear_error(
    job: RunningJob, source: bytes, damage: list[tuple[float, bytes]], share: float
) -> None:
    broken = bytearray(source[: int(len(source) * share)])
    for place, data in damage:
        start = int(place * len(broken))
        broken[start : start + len(data)] = data
    payload = image_resize.ResizePayload(source=image_resize.Source(base64="eA=="), width=8, height=8)
    with suppress(JobError):
        assert image_resize._resize(bytes(broken), payload, job)[1] == (8, 8)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"source": {}}, "payload.source"),
        ({"source": {"base64": "eA==", "url": "http://example.org/"}}, "payload.source"),
        ({"source": {"file": "/etc/passwd"}}, "payload.source.file"),
        ({"source": {"base64": "no base64!"}}, "payload.source.base64"),
        ({"source": {"base64": " \r\n"}}, "payload.source.base64"),
        ({"source": {"base64": "data:image/png;base64,"}}, "payload.source.base64"),
        ({"source": {"base64": "data:,"}}, "payload.source.base64"),
        ({"source": {"base64": "data:image/png;base64,%0A%20"}}, "payload.source.base64"),
        ({"source": {"base64": "\u00e9"}}, "payload.source.base64"),
        ({"source": {"key": "owners/bert/uploads/1"}}, "payload.source.key"),
        ({"source": {"key": "owners/anna/../bert/uploads/1"}}, "payload.source.key"),
        ({"source": {"url": "http://127.0.0.1/"}}, "payload.source.url"),
        ({"source": {"url": "file:///etc/passwd"}}, "payload.source.url"),
        ({"width": 0}, "payload.width"),
        ({"width": 10_001}, "payload.width"),
        ({"width": 10_000, "height": 9_000}, "payload.width"),
        ({"height": "20"}, "payload.height"),
        ({"fit": "squeeze"}, "payload.fit"),
        ({"format": "tiff"}, "payload.format"),
        ({"quality": 0}, "payload.quality"),
        ({"quality": 101}, "payload.quality"),
        ({"colour": "red"}, "payload.colour"),
    ],
)
def test_a_payload_that_does_not_fit_is_refused_at_creation(
    run_job: Callable[..., JsonObject], change: dict[str, Any], field: str
) -> None:
    payload = {"source": {"base64": "eA=="}, "width": 10, "height": 10, **change}
    with pytest.raises(InvalidInputError) as refusal:
        run_job("IMAGE_RESIZE", payload)
    assert refusal.value.field == field


@pytest.mark.usefixtures("bucket")
def test_an_attempt_that_lost_its_lease_cannot_replace_the_picture(
    run_job: Callable[..., JsonObject], new_job: type[RunningJob]
) -> None:
    payload = payload_of(SOUND[1], 8, 8)
    second = new_job(attempt=2)
    first_key = run_job("IMAGE_RESIZE", payload)["key"]
    assert run_job("IMAGE_RESIZE", payload, second)["key"] != first_key


@pytest.mark.usefixtures("bucket")
def test_a_cancelled_job_goes_no_further_and_stores_nothing(
    run_job: Callable[..., JsonObject], job: RunningJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    upright = reading.read_upright

    def read_and_cancel(*arguments: Any) -> Any:
        job.cancel()
        return upright(*arguments)

    monkeypatch.setattr(reading, "read_upright", read_and_cancel)
    with pytest.raises(JobError, match="time ran out"):
        run_job("IMAGE_RESIZE", payload_of(SOUND[1], 8, 8))
    with pytest.raises(objects.ObjectNotFoundError):
        objects.stat(objects.job_key("anna", job.job_id, "image-1.png"))
