"""How many examples Hypothesis draws: a few, the same in every run; or with `FUZZ=n`, n times as many at random."""

import os

from hypothesis import settings

FACTOR = int(os.environ.get("FUZZ", "0"))


def count_examples(few: int) -> int:
    return few * max(FACTOR, 1)


def load_profile() -> None:
    """What passes on one machine passes on the next; `FUZZ` draws at random to find new failures on purpose."""
    if FACTOR:
        settings.register_profile("leaseway", max_examples=count_examples(100), deadline=None)
    else:
        settings.register_profile("leaseway", max_examples=100, deadline=None, derandomize=True, database=None)
    settings.load_profile("leaseway")
