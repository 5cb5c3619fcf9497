"""IMAGE_RESIZE: resize and convert a picture that comes from a client, a URL or the bucket."""

import base64
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import BoundedSemaphore
from typing import Annotated
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec import Meta

from leaseway import objects
from leaseway.errors import InvalidInputError, LeasewayError
from leaseway.jobs.types import JobContext, JobError, JobType, JsonObject, PermanentJobError
from leaseway.outbound.urls import URL_LENGTH, check_url
from leaseway.settings import settings
from worker.pictures.options import Fit, Format, Size

_WRITTEN: dict[str, Format] = {"JPEG": "jpeg", "MPO": "jpeg", "PNG": "png", "WEBP": "webp"}
_ends_in_base64 = re.compile(r"; *base64\s*\Z", re.IGNORECASE)
_SUFFIX = {"jpeg": "jpg", "png": "png", "webp": "webp"}

# Ten pictures of 50 megapixels side by side would be 2 GB: the batch shares two places.
_decoding = BoundedSemaphore(2)


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where the picture comes from: exactly one of the three."""

    base64: (
        Annotated[
            str,
            Meta(
                min_length=1,
                description="A small picture itself, as base64 (line breaks are allowed) or as a data: URL",
            ),
        ]
        | None
    ) = None
    url: Annotated[str, Meta(min_length=1, max_length=URL_LENGTH, description="http or https, public")] | None = None
    key: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=1024,
                description="The key of one of your objects, such as an upload; it begins with `owners/` and your name",
                extra_json_schema={"format": "upload"},  # a form may offer to upload one
            ),
        ]
        | None
    ) = None

    def __post_init__(self) -> None:
        if sum(source is not None for source in (self.base64, self.url, self.key)) != 1:
            raise ValueError("give exactly one of base64, url and key")


Side = Annotated[int, Meta(ge=1, le=10_000, description="Pixels")]


class ResizePayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The picture, and its new size and format.

    `cover` fills the size and crops the rest, `contain` shows the whole picture with bars (transparent; white in a
    JPEG), `fill` stretches, `inside` keeps the proportions and is no larger than the size on either side.
    """

    source: Annotated[Source, Meta(examples=[{"url": "https://example.com/picture.jpg"}])]
    width: Annotated[Side, Meta(examples=[320])]
    height: Annotated[Side, Meta(examples=[240])]
    fit: Annotated[Fit, Meta(description="How to fit a picture of other proportions")] = "cover"
    format: (
        Annotated[Format, Meta(description="The source's format by default, or png if that is another one")] | None
    ) = None
    quality: Annotated[int, Meta(ge=1, le=100, description="Quality of jpeg and webp")] = 85


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
        _decode_inline(source.base64)


def run(payload: ResizePayload, context: JobContext) -> JsonObject:
    """Resize, store the result in the bucket and describe it, with a link that works for `LINK_SECONDS`.

    The picture is turned upright as its EXIF data asks; then all metadata but the colour profile is dropped.

    Raises:
        JobError: the source cannot be read now, or the job's time ran out.
        PermanentJobError: the source is no readable picture, has more pixels than `IMAGE_PIXELS`, or is refused.
    """
    try:
        check(payload, context.owner)
        source = _load(payload.source, context)
        with _decoding_place(context):
            written, size, written_format = _resize(source, payload, context)
        content_type = f"image/{written_format}"
        key = context.store(f"image.{_SUFFIX[written_format]}", written, content_type)
    except InvalidInputError as problem:
        raise PermanentJobError(problem.detail) from problem
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


def _load(source: Source, context: JobContext) -> bytes:
    limit = settings().upload_limit
    if source.key is not None:
        return objects.get_bytes(source.key, limit)
    if source.base64 is not None:
        return _decode_inline(source.base64)
    return _fetch(source.url or "", limit, context)


def _decode_inline(text: str) -> bytes:
    """The bytes of base64, which may be wrapped into lines, or of a `data:` URL (RFC 2397).

    Raises:
        InvalidInputError: it is neither, or no byte is in it.
    """
    media_type, comma, data = text.partition(",") if text[:5].lower() == "data:" else ("", "", text)
    if media_type and not comma:
        raise InvalidInputError("a data: URL has a comma before its data", field="payload.source.base64")
    is_base64 = not media_type or _ends_in_base64.search(media_type) is not None
    encoded = data.encode(errors="replace")  # half of a surrogate pair becomes a character that base64 does not have
    unquoted = unquote_to_bytes(encoded) if media_type else encoded
    content = _decode_base64(unquoted) if is_base64 else unquoted
    if not content:
        raise InvalidInputError("is empty", field="payload.source.base64")
    return content


def _decode_base64(wrapped: bytes) -> bytes:
    encoded = b"".join(wrapped.split())
    try:
        content = base64.b64decode(encoded, validate=True)
        if len(encoded) != (len(content) + 2) // 3 * 4:
            raise ValueError("Excess padding")
    except ValueError as problem:  # binascii.Error is one
        raise InvalidInputError(f"not base64: {problem}", field="payload.source.base64") from problem
    return content


def _fetch(url: str, limit: int, context: JobContext) -> bytes:
    from leaseway.outbound.fetching import TooManyRedirectsError, fetch

    try:
        answer = fetch(url, limit=limit, remaining=lambda: 0.0 if context.cancelled else context.remaining_seconds())
    except TooManyRedirectsError as problem:
        raise PermanentJobError(problem.detail) from problem
    if answer.status != 200:
        error = PermanentJobError if _is_permanent(answer.status) else JobError
        raise error(f"the source answered with status {answer.status}")
    if answer.truncated:
        raise PermanentJobError(f"the source has more than {limit} bytes")
    return answer.body


def _is_permanent(status: int) -> bool:
    """Whether the server refuses the request itself; 408, 425 and 429 ask the client to come back later."""
    return 400 <= status < 500 and status not in {408, 425, 429}


@contextmanager
def _decoding_place(context: JobContext) -> Iterator[None]:
    if not _decoding.acquire(timeout=context.remaining_seconds()):
        raise JobError("other pictures took the job's time")
    try:
        yield
    finally:
        _decoding.release()


def _resize(source: bytes, payload: ResizePayload, context: JobContext) -> tuple[bytes, Size, Format]:
    from worker.pictures.reading import read_upright
    from worker.pictures.scaling import encode, fit_into

    size = (payload.width, payload.height)
    picture, source_format = read_upright(source, size)
    file_format = payload.format or _WRITTEN.get(source_format, "png")
    _stop_if_cancelled(context)
    fitted = fit_into(picture, size, payload.fit)
    _stop_if_cancelled(context)
    return encode(fitted, file_format, payload.quality, picture.info.get("icc_profile")), fitted.size, file_format


def _stop_if_cancelled(context: JobContext) -> None:
    # Pillow cannot be interrupted; between its steps, each of a second or so at the limit of pixels, we can.
    if context.cancelled:
        raise JobError("the job's time ran out before the picture was finished")


TYPE = JobType("IMAGE_RESIZE", ResizePayload, run, "Resize a picture and store the result", check)
