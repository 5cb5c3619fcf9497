"""What may be asked of a picture. Free of Pillow, so that a payload can be checked without it."""

from typing import Literal

Format = Literal["jpeg", "png", "webp"]
Fit = Literal["contain", "cover", "fill", "inside"]
Size = tuple[int, int]
"""Width and height in pixels."""
