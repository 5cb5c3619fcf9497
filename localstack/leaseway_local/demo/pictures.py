"""The demo's picture: drawn here, uploaded by a presigned link, and checked when it comes back."""

import io
from typing import Any

import httpx

from leaseway_local.answers import UploadAnswer
from leaseway_local.errors import LocalCloudError

SIZE = (1600, 1200)


def draw() -> bytes:
    """Draw a landscape as a JPEG of 1600 x 1200 pixels: an evening sky, a sun and three ranges of hills."""
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


def upload(form: UploadAnswer, picture: bytes) -> None:
    """Send a picture by a presigned form.

    Raises:
        LocalCloudError: the bucket refused it, or does not answer.
    """
    _exchange("POST", form["url"], data=form["fields"], files={"file": picture})


def download(url: str) -> bytes:
    """Fetch a picture by its link.

    Raises:
        LocalCloudError: the bucket refused it, or does not answer.
    """
    return _exchange("GET", url).content


def dimensions(picture: bytes) -> tuple[int, int]:
    """Width and height, from decoding every pixel.

    Raises:
        LocalCloudError: it is not a picture.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(picture)) as opened:
            opened.load()
            return opened.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as problem:
        raise LocalCloudError(f"what came back is not a picture: {problem}") from problem


def _exchange(method: str, url: str, **options: Any) -> httpx.Response:
    try:
        answer = httpx.request(method, url, timeout=60, trust_env=False, **options)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as problem:
        raise LocalCloudError(f"the bucket does not answer to the {method}: {problem}") from problem
    if answer.is_error:
        raise LocalCloudError(f"the bucket answered {answer.status_code} to the {method}: {answer.text[:300]}")
    return answer
