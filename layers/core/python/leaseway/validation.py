"""What msgspec found wrong with a value, in the domain's own words: which member, and why."""

import re

import msgspec

from leaseway.errors import InvalidInputError

_LONGEST_NAME = 100

_place = re.compile(r" - at `(?:key in )?\$(.*)`$", re.DOTALL)
_named_member = re.compile(r"(?:unknown|required) field `(.+)`", re.DOTALL)


def refusal(problem: msgspec.ValidationError, *, within: str = "") -> InvalidInputError:
    """The error that names the member at fault, as a dotted path that begins at `within`."""
    text = str(problem)
    place = _place.search(text)
    path = place[1].lstrip(".") if place else ""
    text = text[: place.start()] if place else text
    member = _named_member.search(text)
    steps = (within, path, member[1] if member else "")
    return InvalidInputError(text, field=".".join(step for step in steps if step)[:_LONGEST_NAME] or None)
