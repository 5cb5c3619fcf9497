"""IMAGE_RESIZE: a picture from a client, a URL or the bucket becomes one of the size and format asked for."""

import base64
import binascii
import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

from leaseway import objects
from leaseway.errors import InvalidInputError, LeasewayError
from leaseway.jobs.types import JobContext, JobError, JobType, JsonObject
from leaseway.outbound.urls import URL_LENGTH, check_url
from leaseway.settings import settings

if TYPE_CHECKING:
    from PIL.Image import Image, Transpose

Format = Literal["jpeg", "png", "webp"]
Fit = Literal["contain", "cover", "fill", "inside"]
Size = tuple[int, int]
Box = tuple[float, float, float, float]

_READ = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
_WRITTEN: dict[str, Format] = {"JPEG": "jpeg", "MPO": "jpeg", "PNG": "png", "WEBP": "webp"}
_SUFFIX = {"jpeg": "jpg", "png": "png", "webp": "webp"}
_ORIENTATION = 0x0112

# Ten pictures of 50 megapixels side by side would be 2 GB: the batch shares two places.
_decoding = BoundedSemaphore(2)


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where the picture comes from: exactly one of the three."""

    base64: Annotated[str, Meta(min_length=1, description="The picture itself; for small ones")] | None = None
    url: Annotated[str, Meta(min_length=1, max_length=URL_LENGTH, description="http or https, public")] | None = None
    key: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=1024,
                description="An object of yours, such as an upload",
                extra_json_schema={"format": "upload"},  # a form may offer to upload one
            ),
        ]
        | None
    ) = None

    def __post_init__(self) -> None:
        if sum(given is not None for given in (self.base64, self.url, self.key)) != 1:
            raise ValueError("give exactly one of base64, url and key")


Side = Annotated[int, Meta(ge=1, le=10_000, description="Pixels")]


class ResizePayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to make of the picture.

    `cover` fills the size and crops what stands over, `contain` shows all of it with bars (transparent; white in a
    JPEG), `fill` stretches, `inside` keeps the proportions and is no larger than the size on either side.
    """

    source: Annotated[Source, Meta(examples=[{"url": "https://example.com/picture.jpg"}])]
    width: Annotated[Side, Meta(examples=[320])]
    height: Annotated[Side, Meta(examples=[240])]
    fit: Annotated[Fit, Meta(description="How to treat other proportions")] = "cover"
    format: Annotated[Format, Meta(description="Default: the source's, or png for other formats")] | None = None
    quality: Annotated[int, Meta(ge=1, le=100, description="Of jpeg and webp")] = 85


def check(payload: ResizePayload, owner: str) -> None:
    """Refuse at creation what needs neither the network nor the bucket to be refused.

    Raises:
        InvalidInputError: a foreign key, a refused URL, broken base64 or too many pixels; names the field.
    """
    source, pixels = payload.source, settings().image_pixels
    if payload.width * payload.height > pixels:
        raise InvalidInputError(f"width x height is above {pixels} pixels", field="payload.width")
    if source.key is not None:
        objects.check_own_key(owner, source.key, field="payload.source.key")
    if source.url is not None:
        check_url(source.url, field="payload.source.url")
    if source.base64 is not None:
        _decoded(source.base64)


def run(payload: ResizePayload, context: JobContext) -> JsonObject:
    """Resize, store the result in the bucket and describe it, with a link that works for `LINK_SECONDS`.

    The picture is turned upright as its EXIF data asks; then all metadata but the colour profile is dropped.

    Raises:
        JobError: the source cannot be had, is no picture, or has more pixels than `IMAGE_PIXELS`.
    """
    try:
        check(payload, context.owner)
        source = _source(payload.source, context)
        with _place(context):
            written, size, written_format = _resized(source, payload, context)
        content_type = f"image/{written_format}"
        key = context.store(f"image.{_SUFFIX[written_format]}", written, content_type)
    except LeasewayError as problem:
        raise JobError(problem.detail) from problem
    url, expires_at = objects.presign_get(key)
    return {
        "key": key,
        "content_type": content_type,
        "size": len(written),
        "width": size[0],
        "height": size[1],
        "url": url,
        "url_expires_at": datetime.fromtimestamp(expires_at / 1000, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z"),
    }


def _source(source: Source, context: JobContext) -> bytes:
    limit = settings().upload_limit
    if source.key is not None:
        return objects.get_bytes(source.key, limit)
    if source.base64 is not None:
        return _decoded(source.base64)
    return _fetched(source.url or "", limit, context)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as problem:
        raise InvalidInputError(f"not base64: {problem}", field="payload.source.base64") from problem


def _fetched(url: str, limit: int, context: JobContext) -> bytes:
    from leaseway.outbound.fetching import fetch

    answer = fetch(url, limit=limit, remaining=lambda: 0.0 if context.cancelled else context.remaining_seconds())
    if answer.status != 200:
        raise JobError(f"the source answered with status {answer.status}")
    if answer.truncated:
        raise JobError(f"the source has more than {limit} bytes")
    return answer.body


@contextmanager
def _place(context: JobContext) -> Iterator[None]:
    if not _decoding.acquire(timeout=context.remaining_seconds()):
        raise JobError("other pictures took the job's time")
    try:
        yield
    finally:
        _decoding.release()


def _resized(source: bytes, payload: ResizePayload, context: JobContext) -> tuple[bytes, Size, Format]:
    picture, source_format = _upright(source, payload)
    written_format = payload.format or _WRITTEN.get(source_format, "png")
    _go_on(context)
    fitted = _fitted(picture, payload)
    if written_format == "jpeg":
        fitted = _opaque(fitted)
    _go_on(context)
    # A profile describes grey or colour: it is kept only while the picture is what it was.
    profile = picture.info.get("icc_profile") if (fitted.mode == "L") == (picture.mode == "L") else None
    buffer = io.BytesIO()
    fitted.save(buffer, written_format, quality=payload.quality, icc_profile=profile)
    return buffer.getvalue(), fitted.size, written_format


def _go_on(context: JobContext) -> None:
    # Pillow cannot be interrupted; between its steps, each of a second or so at the limit of pixels, we can.
    if context.cancelled:
        raise JobError("the job's time ran out before the picture was finished")


def _upright(source: bytes, payload: ResizePayload) -> "tuple[Image, str]":
    """The picture's first frame, decoded, upright, in mode L, RGB or RGBA; and the name of its format."""
    from PIL import Image

    pixels = settings().image_pixels
    # From here on Pillow refuses at twice the limit, in the few places where it meets a size before we do.
    Image.MAX_IMAGE_PIXELS = pixels
    try:
        with Image.open(io.BytesIO(source), formats=_READ) as opened:
            # Only the header has been read so far: a bomb is never inflated.
            if opened.width * opened.height > pixels:
                raise JobError(f"the picture has {opened.width} x {opened.height} pixels, the limit is {pixels}")
            turn = _turn(opened)
            _shrink_while_decoding(opened, payload, turn)
            plain = _plain_mode(opened)
            # Encoders write what they find here: comments, XMP, the place where a photo was taken.
            plain.info = {name: plain.info[name] for name in ("icc_profile",) if name in plain.info}
            return plain if turn is None else plain.transpose(turn), opened.format or ""
    except (JobError, MemoryError):
        raise
    except Image.DecompressionBombError as problem:
        raise JobError(f"the picture has more pixels than the limit of {pixels}") from problem
    except Exception as problem:
        # Broken files make decoders raise nearly anything: OSError, SyntaxError, struct.error, IndexError.
        raise JobError(f"the source is not a picture that can be read: {problem}") from problem


def _turn(opened: "Image") -> "Transpose | None":
    """What puts the picture upright, as the camera noted it; a broken note is no reason to refuse the picture."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    try:
        return turns.get(opened.getexif().get(_ORIENTATION, 1))
    except Exception:
        return None


def _shrink_while_decoding(opened: "Image", payload: ResizePayload, turn: "Transpose | None") -> None:
    """Let the JPEG decoder halve, quarter or eighth the picture, but to no less than twice the size asked for."""
    wanted = (payload.width * 2, payload.height * 2)
    lies_on_its_side = turn is not None and turn.name in {"TRANSPOSE", "TRANSVERSE", "ROTATE_90", "ROTATE_270"}
    opened.draft(None, wanted[::-1] if lies_on_its_side else wanted)


def _plain_mode(opened: "Image") -> "Image":
    opened.load()
    if opened.mode in {"L", "RGB", "RGBA"} and not (opened.mode != "RGBA" and opened.has_transparency_data):
        return opened.copy()
    if opened.mode.startswith("I"):
        return opened.point(lambda value: value * (1 / 256)).convert("L")  # convert() alone would clip 16 bits to 8
    mode = "RGBA" if opened.has_transparency_data else "L" if opened.mode == "1" else "RGB"
    converted = opened.convert(mode)
    if opened.mode == "CMYK":
        converted.info.pop("icc_profile", None)  # it described inks
    return converted


def _fitted(picture: "Image", payload: ResizePayload) -> "Image":
    from PIL import Image

    size = (payload.width, payload.height)
    if payload.fit == "fill":
        return _scaled(picture, size)
    if payload.fit == "cover":
        return _scaled(picture, size, _middle(picture.size, size))
    inner = _scaled(picture, _inside(picture.size, size))
    if payload.fit == "inside" or inner.size == size:
        return inner
    bars = Image.new("RGBA", size, (255, 255, 255, 0))
    bars.paste(inner, ((size[0] - inner.width) // 2, (size[1] - inner.height) // 2))
    return bars


def _scaled(picture: "Image", size: Size, box: Box | None = None) -> "Image":
    from PIL.Image import Resampling

    # Averaging whole pixels first costs a tenth, and the three-fold reserve keeps the difference out of sight.
    return picture.resize(size, Resampling.LANCZOS, box, reducing_gap=3.0)


def _middle(size: Size, wanted: Size) -> Box:
    """The largest part of the picture with the wanted proportions, from its middle."""
    scale = max(wanted[0] / size[0], wanted[1] / size[1])
    width, height = min(size[0], wanted[0] / scale), min(size[1], wanted[1] / scale)
    left, top = (size[0] - width) / 2, (size[1] - height) / 2
    return left, top, left + width, top + height


def _inside(size: Size, box: Size) -> Size:
    scale = min(box[0] / size[0], box[1] / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _opaque(picture: "Image") -> "Image":
    from PIL import Image

    if picture.mode != "RGBA":
        return picture
    white = Image.new("RGB", picture.size, (255, 255, 255))
    white.paste(picture, mask=picture.getchannel("A"))
    return white


TYPE = JobType("IMAGE_RESIZE", ResizePayload, run, "Resize a picture and store the result", check)
