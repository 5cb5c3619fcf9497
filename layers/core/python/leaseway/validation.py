"""Turns msgspec's validation errors into the domain's, which name the member at fault."""

import re
from typing import Any

import msgspec
from msgspec import Meta

from leaseway.errors import InvalidInputError

USER_ID_PATTERN = "^[A-Za-z0-9_][A-Za-z0-9._@:-]{0,127}$"
"""A user's name and the id of the account that belongs to it. For `fullmatch` or `whole_match`."""

_LONGEST_NAME = 100

_place = re.compile(r" - at `(?:key in )?\$(.*)`$", re.DOTALL)
_named_member = re.compile(r"(?:unknown|required) field `(.+)`", re.DOTALL)


def whole_match(pattern: str, **described: Any) -> Meta:
    """Return the constraint that the whole of a text is `^...$`, with a description or examples.

    msgspec searches, and Python's `$` admits a newline after it, while that of ECMAScript, which JSON Schema names, is
    the end. The lookahead says the same to both.
    """
    return Meta(pattern=pattern.removesuffix("$") + r"(?!\n)$", **described)


def refusal(problem: msgspec.ValidationError, *, within: str = "") -> InvalidInputError:
    """The error that names the member at fault, as a dotted path that begins at `within`."""
    text = str(problem)
    place = _place.search(text)
    path = place[1].lstrip(".") if place else ""
    text = text[: place.start()] if place else text
    member = _named_member.search(text)
    steps = (within, path, member[1] if member else "")
    return InvalidInputError(text, field=".".join(step for step in steps if step)[:_LONGEST_NAME] or None)
