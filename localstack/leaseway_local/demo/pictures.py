"""The demo's picture: drawn here, uploaded by a presigned link, and looked at when it comes back."""

import io
from typing import Any

import httpx

from leaseway_local.errors import LocalCloudError

SIZE = (1600, 1200)


def draw() -> bytes:
    """A landscape as a JPEG of 1600 x 1200 pixels: an evening sky, a sun and three ranges of hills."""
    from PIL import Image, ImageDraw

    width, height = SIZE
    sky = Image.linear_gradient("L").resize(SIZE)
    picture = Image.merge(
        "RGB",
        (sky.point(lambda v: 60 + v * 3 // 4), sky.point(lambda v: 60 + v // 3), sky.point(lambda v: 150 - v // 3)),
    )
    brush = ImageDraw.Draw(picture)
    brush.ellipse((1000, 560, 1240, 800), fill=(255, 226, 150))
    for step, colour in enumerate([(94, 66, 110), (62, 44, 84), (30, 22, 48)]):
        base, wave = height - 380 + step * 120, 260 - step * 40
        peaks = [(x, base - (wave if (x // 160 + step) % 2 else 0)) for x in range(0, width + 161, 160)]
        brush.polygon([(0, height), *peaks, (width, height)], fill=colour)
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=90)
    return written.getvalue()


def upload(form: dict[str, Any], picture: bytes) -> None:
    """Send a picture by a presigned form.

    Raises:
        LocalCloudError: the bucket refused it.
    """
    reply = httpx.post(form["url"], data=form["fields"], files={"file": picture}, timeout=60, trust_env=False)
    if reply.is_error:
        raise LocalCloudError(f"the bucket answered {reply.status_code} to the upload: {reply.text[:300]}")


def download(url: str) -> bytes:
    """A picture by its link.

    Raises:
        LocalCloudError: the bucket refused it.
    """
    reply = httpx.get(url, timeout=60, trust_env=False)
    if reply.is_error:
        raise LocalCloudError(f"the bucket answered {reply.status_code} to the download: {reply.text[:300]}")
    return reply.content


def dimensions(picture: bytes) -> tuple[int, int]:
    """Width and height, from decoding every pixel."""
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as opened:
        opened.load()
        return opened.size
