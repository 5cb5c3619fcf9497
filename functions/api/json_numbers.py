"""Numbers in a JSON body: 5.0 is the integer 5, and a whole number of any size is read exactly."""

import math
import re
from decimal import Decimal

_FIRST_GAP = 2**53  # every whole number below is a float

# Text in a JSON document, or a number such as 5.0 before its fraction.
_text_or_whole = re.compile(rb'("(?:[^"\\]|\\.)*"|-?\d+(?=\.0+(?![\d.eE])))(?:\.0+)?', re.DOTALL)


def read_fraction(text: str) -> float | int:
    """The value of a number with a point or an exponent, if nothing says its type: a float.

    An int if it is whole and the float beside it is written in another way, as for 9007199254740993.0. It has no more
    digits than the text.

    Raises:
        ValueError: beyond what IEEE 754 can hold, as in 1e400.
    """
    value = float(text)
    if math.isinf(value):
        raise ValueError("Number out of range")
    if abs(value) < _FIRST_GAP or len(repr(int(value))) > len(text):
        return value
    exact = Decimal(text)
    return value if exact == Decimal(repr(value)) or exact != int(exact) else int(exact)


def write_whole_numbers(document: bytes) -> bytes:
    """The JSON document with 5 for each 5.0; numbers with exponents, and texts, stay as they are."""
    return _text_or_whole.sub(rb"\1", document)
