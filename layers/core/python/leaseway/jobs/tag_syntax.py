"""What a tag may look like, and how many a job may have."""

import re
from collections.abc import Sequence

from leaseway.errors import InvalidInputError

MOST_TAGS = 10
TAG_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._:/@=+-]{0,63}$"

_tag = re.compile(TAG_PATTERN)


def check_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """Return the tags without duplicates, sorted.

    Raises:
        InvalidInputError: more than ten, or one that is not 1 to 64 letters, digits and `. _ : / @ = + -`.
    """
    if len(tags) > MOST_TAGS:
        raise InvalidInputError(f"a job has at most {MOST_TAGS} tags", field="tags")
    return tuple(sorted({check_tag(tag, field="tags") for tag in tags}))


def check_tag(tag: str, *, field: str = "tag") -> str:
    """Return the tag.

    Raises:
        InvalidInputError: it does not match `TAG_PATTERN`.
    """
    if not _tag.fullmatch(tag):
        raise InvalidInputError(
            "a tag is 1 to 64 letters, digits or . _ : / @ = + - and starts with a letter or a digit", field=field
        )
    return tag
