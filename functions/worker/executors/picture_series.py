"""PICTURE_SERIES: draw a journey into the Mandelbrot set, frame by frame, resize each, and store one contact sheet."""

import io
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from leaseway import objects
from leaseway.errors import LeasewayError
from leaseway.jobs.types import JobContext, JobError, JobType, JsonObject
from worker.pacing import PACED_TTL_MS, TWO_MINUTES_MS, Duration, paced, read_duration

if TYPE_CHECKING:
    from PIL.Image import Image

_CENTRE = (-0.7436, 0.1318)  # a place with something to see at every depth
_ZOOM = 0.7
_COLUMNS = 4
_ITERATIONS = 60


class SeriesPayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The number of pictures, and the sizes at which they are drawn and shown."""

    frames: Annotated[int, Meta(ge=1, le=48, description="Number of pictures")] = 12
    width: Annotated[
        int, Meta(ge=16, le=1_600, description="Width of each picture in pixels; its height is three quarters of that")
    ] = 640
    thumbnail: Annotated[
        int, Meta(ge=8, le=400, description="Width of each picture on the contact sheet, in pixels")
    ] = 160
    duration_ms: Duration = TWO_MINUTES_MS


def run(payload: SeriesPayload, context: JobContext) -> JsonObject:
    """The contact sheet's key in the bucket, its size, and a link that works for `LINK_SECONDS`.

    Raises:
        JobError: time ran out, or the bucket did not take the sheet.
    """
    small = (payload.thumbnail, payload.thumbnail * 3 // 4)
    sheet = _empty_sheet(payload.frames, small)
    for frame in paced(context, payload.duration_ms, payload.frames, "frame"):
        drawn = _draw(frame, payload.width)
        sheet.paste(drawn.resize(small), (frame % _COLUMNS * small[0], frame // _COLUMNS * small[1]))
    written = io.BytesIO()
    sheet.save(written, "PNG")
    try:
        key = context.store("series.png", written.getvalue(), "image/png")
        url, _ = objects.presign_get(key)
    except LeasewayError as problem:
        raise JobError(problem.detail) from problem
    return {
        "key": key,
        "frames": payload.frames,
        "width": sheet.width,
        "height": sheet.height,
        "size": written.tell(),
        "url": url,
    }


def _empty_sheet(frames: int, small: tuple[int, int]) -> "Image":
    from PIL import Image

    return Image.new("L", (min(frames, _COLUMNS) * small[0], -(-frames // _COLUMNS) * small[1]))


def _draw(frame: int, width: int) -> "Image":
    from PIL import Image

    across, high = 1.5 * _ZOOM**frame, 1.125 * _ZOOM**frame
    extent = (_CENTRE[0] - across, _CENTRE[1] - high, _CENTRE[0] + across, _CENTRE[1] + high)
    return Image.effect_mandelbrot((width, width * 3 // 4), extent, _ITERATIONS)


TYPE = JobType(
    "PICTURE_SERIES",
    SeriesPayload,
    run,
    "Draw a series of pictures and store a contact sheet",
    ttl_ms=PACED_TTL_MS,
    least_ms=read_duration,
)
