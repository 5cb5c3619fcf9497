"""The progress of an attempt, as its executor reports it: a fraction and a note.

Only what is reported is written, so a job that reports nothing costs nothing. Each attempt starts without progress.
"""

import math
from typing import NamedTuple

from pynamodb.expressions.update import Action

from leaseway.canonical import escape_surrogates
from leaseway.jobs.job import Job
from leaseway.jobs.table import JobModel

WHOLE = 1_000
"""Progress is stored in thousandths, as a whole number."""

LONGEST_NOTE = 200
"""Characters of a note that are kept."""


class Progress(NamedTuple):
    """How much of the work is done, in thousandths, and a note about it."""

    thousandths: int
    note: str | None = None

    @classmethod
    def from_fraction(cls, fraction: float, note: str | None = None) -> "Progress":
        """Convert a fraction from 0 to 1; values beyond are clamped, and the note is cut.

        Raises:
            ValueError: the fraction is not a number.
        """
        if math.isnan(fraction):
            raise ValueError("a fraction must be a number")
        thousandths = int(min(1.0, max(0.0, fraction)) * WHOLE)
        return cls(thousandths, escape_surrogates(note)[:LONGEST_NOTE] or None if note is not None else None)


def set_progress(progress: Progress) -> list[Action]:
    """Return the actions that store the progress."""
    note = JobModel.progress_note
    return [
        JobModel.progress.set(progress.thousandths),
        note.remove() if progress.note is None else note.set(progress.note),
    ]


def clear_progress() -> list[Action]:
    """Return the actions that remove the progress of an earlier attempt. They are free if there is none."""
    return [JobModel.progress.remove(), JobModel.progress_note.remove()]


def complete_progress(job: Job, latest: Progress | None) -> list[Action]:
    """Return the actions that set the progress of a successful attempt to the whole, if it reported any."""
    if latest is None and job.progress is None:
        return []
    return set_progress(Progress(WHOLE, latest.note if latest is not None else job.progress_note))
