"""Scaling a picture: fitted into a size, encoded in a format, with a colour profile only if it still describes it."""

import io

from PIL import Image
from PIL.Image import Resampling

from worker.pictures.options import Fit, Format, Size

_Box = tuple[float, float, float, float]

_PROFILE_SPACES = {"L": b"GRAY", "LA": b"GRAY", "RGB": b"RGB ", "RGBA": b"RGB "}


def fit_into(picture: Image.Image, size: Size, fit: Fit) -> Image.Image:
    """Scale the picture: `cover` crops, `contain` adds bars, `fill` stretches, `inside` keeps the proportions."""
    if fit == "fill":
        return _resize(picture, size)
    if fit == "cover":
        return _resize(picture, size, _middle(picture.size, size))
    inner = _resize(picture, _largest_inside(picture.size, size))
    if fit == "inside" or inner.size == size:
        return inner
    return _add_bars(inner, size)


def encode(picture: Image.Image, file_format: Format, quality: int, profile: bytes | None) -> bytes:
    """Encode the picture; a JPEG shows white where it was transparent, and `profile` is kept only if it fits."""
    if file_format == "jpeg":
        picture = _flatten(picture)
    elif file_format == "webp" and picture.mode in {"L", "LA"}:
        picture = picture.convert("RGBA" if picture.mode == "LA" else "RGB")
    kept_profile = profile if _describes(profile, picture.mode) else None
    buffer = io.BytesIO()
    picture.save(buffer, file_format, quality=quality, icc_profile=kept_profile)
    return buffer.getvalue()


def _describes(profile: bytes | None, mode: str) -> bool:
    """Whether an ICC profile is one for the samples of that mode: its header names a colour space at byte 16."""
    return profile is not None and profile[16:20] == _PROFILE_SPACES[mode]


def _add_bars(inner: Image.Image, size: Size) -> Image.Image:
    is_grey = inner.mode in {"L", "LA"}
    bars = Image.new("LA", size, (255, 0)) if is_grey else Image.new("RGBA", size, (255, 255, 255, 0))
    place = ((size[0] - inner.width) // 2, (size[1] - inner.height) // 2)
    bars.paste(inner.convert(bars.mode), place)
    return bars


def _resize(picture: Image.Image, size: Size, box: _Box | None = None) -> Image.Image:
    # Averaging whole pixels first costs a tenth, and the three-fold reserve keeps the difference out of sight.
    return picture.resize(size, Resampling.LANCZOS, box, reducing_gap=3.0)


def _middle(size: Size, target: Size) -> _Box:
    """The largest part of the picture with the target's proportions, from its middle."""
    scale = max(target[0] / size[0], target[1] / size[1])
    width, height = min(size[0], target[0] / scale), min(size[1], target[1] / scale)
    left, top = (size[0] - width) / 2, (size[1] - height) / 2
    return left, top, left + width, top + height


def _largest_inside(size: Size, box: Size) -> Size:
    scale = min(box[0] / size[0], box[1] / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _flatten(picture: Image.Image) -> Image.Image:
    if picture.mode not in {"LA", "RGBA"}:
        return picture
    mode, white = ("L", 255) if picture.mode == "LA" else ("RGB", (255, 255, 255))
    flat = Image.new(mode, picture.size, white)
    flat.paste(picture.convert(mode), mask=picture.getchannel("A"))
    return flat
