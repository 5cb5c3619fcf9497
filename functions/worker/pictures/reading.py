"""Reading a picture: bounded before a pixel is decoded, turned upright, and reduced to mode L, LA, RGB or RGBA."""

import io

from PIL import Image, ImageMath, UnidentifiedImageError
from PIL.Image import Transpose

from leaseway.jobs.types import PermanentJobError
from leaseway.settings import settings
from worker.pictures import png_chunks
from worker.pictures.options import Size

_Sample = int | tuple[int, ...]

READABLE = ("JPEG", "PNG", "WebP", "GIF", "BMP", "AVIF")

_FORMATS = tuple(name.upper() for name in READABLE)
_ORIENTATION = 0x0112
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_SIGNATURES = {
    b"\x89PNG": "a broken PNG",
    b"\xff\xd8": "a broken JPEG",
    b"GIF8": "a broken GIF",
    b"BM": "a broken BMP",
    b"%PDF": "PDF",
    b"%!PS": "PostScript",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"8BPS": "Photoshop",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"\0\0\1\0": "an icon (ICO)",
    b"icns": "an icon (ICNS)",
    b"\xc5\xd0\xd3\xc6": "PostScript",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\x1a\x45\xdf\xa3": "a video",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"PK\3\4": "a ZIP archive",
    b"\x1f\x8b": "a gzip file",
}


class UnreadablePictureError(PermanentJobError):
    """The bytes are no picture that can be read, or one with too many pixels; another attempt reads the same."""


def read_upright(source: bytes, smallest: Size) -> tuple[Image.Image, str]:
    """Decode the first frame, upright, in mode L, LA, RGB or RGBA; returns it and the name of its format.

    `smallest` is the size that is needed: a JPEG may be decoded smaller than it is, but not below twice that.

    Raises:
        UnreadablePictureError: what it is instead of a readable picture, or how it is broken.
    """
    pixels = settings().image_pixels
    # From here on Pillow refuses at twice the limit, in the few places where it meets a size before we do.
    Image.MAX_IMAGE_PIXELS = pixels
    try:
        with Image.open(io.BytesIO(png_chunks.drop_needless_chunks(source)), formats=_FORMATS) as opened:
            # Only the header has been read so far: a bomb is never inflated.
            if opened.width * opened.height > pixels:
                raise UnreadablePictureError(
                    f"the picture has {opened.width} x {opened.height} pixels, the limit is {pixels}"
                )
            return _decode(opened, smallest), opened.format or ""
    except (UnreadablePictureError, MemoryError):
        raise
    except Image.DecompressionBombError as problem:
        raise UnreadablePictureError(f"the picture has more pixels than the limit of {pixels}") from problem
    except UnidentifiedImageError as problem:
        raise UnreadablePictureError(_describe_unknown(source)) from problem
    except Exception as problem:
        # Broken files make decoders raise nearly anything: OSError, SyntaxError, struct.error, IndexError.
        raise UnreadablePictureError(_describe_broken(source, problem)) from problem


def _decode(opened: Image.Image, smallest: Size) -> Image.Image:
    # Before anything loads a PNG, which forgets the depth of its samples.
    transparent, is_grey = _transparent_sample(opened), _read_raw_mode(opened) == "LA;16B"
    turn = _find_turn(opened)
    _shrink_while_decoding(opened, smallest, turn)
    plain = _to_plain_mode(opened, transparent)
    if is_grey:
        plain = plain.convert("LA")  # Pillow decodes grey of 16 bits with alpha to RGBA
    # Encoders write what they find here: comments, XMP, the place where a photo was taken.
    plain.info = {name: plain.info[name] for name in ("icc_profile",) if name in plain.info}
    return plain if turn is None else plain.transpose(turn)


def _describe_unknown(source: bytes) -> str:
    readable = f"{', '.join(READABLE[:-1])} and {READABLE[-1]} can be read"
    if not source:
        return f"the source is not a picture that can be read: it is empty; {readable}"
    kind = _guess_kind(source)
    looks = "its format is unknown" if kind is None else f"it looks like {kind}"
    return f"the source is not a picture that can be read: {looks}; {readable}"


def _describe_broken(source: bytes, problem: Exception) -> str:
    kind, why = _guess_kind(source) or "broken", str(problem) or type(problem).__name__
    return f"the source is not a picture that can be read: it is {kind} ({why})"


def _guess_kind(source: bytes) -> str | None:
    if source[4:8] == b"ftyp":
        return _name_brand(source[8:12])
    if source.startswith(b"RIFF"):
        return "a broken WebP" if source[8:12] == b"WEBP" else None
    for signature, kind in _SIGNATURES.items():
        if source.startswith(signature):
            return kind
    return _guess_markup(source[:4096])


def _name_brand(brand: bytes) -> str:
    if brand in _AVIF_BRANDS:
        return "a broken AVIF"
    return "HEIC" if brand in _HEIC_BRANDS else "a video"


def _guess_markup(start: bytes) -> str | None:
    text = start.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").lower()  # UTF-16 too
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "HTML"
    return "SVG" if b"<svg" in text else "HTML" if b"<html" in text else None


def _find_turn(opened: Image.Image) -> Transpose | None:
    """What puts the picture upright, as the camera noted it; a broken note is no reason to refuse the picture."""
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


def _shrink_while_decoding(opened: Image.Image, smallest: Size, turn: Transpose | None) -> None:
    """Let the JPEG decoder halve, quarter or eighth the picture, but to no less than twice the size that is needed."""
    target = (smallest[0] * 2, smallest[1] * 2)
    lies_on_its_side = turn is not None and turn.name in {"TRANSPOSE", "TRANSVERSE", "ROTATE_90", "ROTATE_270"}
    opened.draft(None, target[::-1] if lies_on_its_side else target)


def _to_plain_mode(opened: Image.Image, transparent: _Sample | None) -> Image.Image:
    opened.load()
    if opened.mode.startswith("I"):
        return _to_eight_bits(opened, transparent)
    if transparent is not None:
        opened.info["transparency"] = transparent
    if opened.mode in {"LA", "RGBA"} or (opened.mode in {"L", "RGB"} and not opened.has_transparency_data):
        return opened.copy()
    converted = opened.convert(_plain_mode_of(opened))
    if opened.mode == "CMYK":
        converted.info.pop("icc_profile", None)  # it described inks
    return converted


def _plain_mode_of(opened: Image.Image) -> str:
    is_grey = opened.mode in {"1", "L", "La"}
    if opened.has_transparency_data:
        return "LA" if is_grey else "RGBA"
    return "L" if is_grey else "RGB"


def _transparent_sample(opened: Image.Image) -> _Sample | None:
    """The colour that a PNG's tRNS chunk declares transparent, in the samples that Pillow decodes to.

    The chunk counts in the file's own bit depth (https://www.w3.org/TR/png-3/#11tRNS), which Pillow leaves as it is:
    grey of 2 and 4 bits is decoded to 0..255, colour of 16 bits to its high bytes. None for other transparency.
    """
    sample = opened.info.get("transparency")
    raw_mode = _read_raw_mode(opened)
    if not raw_mode or not isinstance(sample, int | tuple):
        return None
    if isinstance(sample, tuple):
        return tuple(value >> 8 for value in sample) if raw_mode == "RGB;16B" else sample
    scale = {"L;2": 85, "L;4": 17}.get(raw_mode, 1)
    return None if opened.mode == "P" else sample * scale


def _read_raw_mode(opened: Image.Image) -> str:
    """How a PNG that has not been loaded stores its samples, such as `RGB;16B`; empty for other formats."""
    tiles = getattr(opened, "tile", None)
    if opened.format != "PNG" or not tiles:
        return ""
    arguments = tiles[0].args
    return arguments if isinstance(arguments, str) else (arguments or ("",))[0]


def _to_eight_bits(opened: Image.Image, transparent: _Sample | None) -> Image.Image:
    """Grey of 16 bits as L, or as LA if one of its values is declared transparent."""
    grey = opened.point(lambda value: value * (1 / 256)).convert("L")  # convert() alone would clip 16 bits to 8
    grey.info = {name: value for name, value in opened.info.items() if name != "transparency"}
    if not isinstance(transparent, int):
        return grey
    opaque = ImageMath.lambda_eval(lambda args: (args["sample"] != transparent) * 255, sample=opened.convert("I"))
    with_alpha = Image.merge("LA", (grey, opaque.convert("L")))
    with_alpha.info = grey.info
    return with_alpha
