"""How far an attempt has come, as its executor tells: a fraction and a note, kept with the job while it lasts.

Only what is told is written. A job that tells nothing pays nothing; a new attempt begins with nothing told.
"""

import math
from typing import NamedTuple

from pynamodb.expressions.update import Action

from leaseway.jobs.job import Job
from leaseway.jobs.table import JobModel

WHOLE = 1_000
"""Progress is kept in thousandths, as a whole number."""

LONGEST_NOTE = 200
"""Characters of a note that are kept."""


class Progress(NamedTuple):
    """Thousandths of the work that are done, and what the executor says of it."""

    thousandths: int
    note: str | None = None


def told(fraction: float, note: str | None = None) -> Progress:
    """What an executor tells: a fraction from 0 to 1, what is beyond being cut off.

    Raises:
        ValueError: it is no number.
    """
    if math.isnan(fraction):
        raise ValueError("a fraction must be a number")
    thousandths = int(min(1.0, max(0.0, fraction)) * WHOLE)
    return Progress(thousandths, note[:LONGEST_NOTE] or None if note is not None else None)


def written(progress: Progress) -> list[Action]:
    """What to write where an attempt has come so far."""
    note = JobModel.progress_note
    return [
        JobModel.progress.set(progress.thousandths),
        note.remove() if progress.note is None else note.set(progress.note),
    ]


def erased() -> list[Action]:
    """What to write where an attempt begins or is to be made again. Costs nothing where nothing was told."""
    return [JobModel.progress.remove(), JobModel.progress_note.remove()]


def completed(job: Job, last: Progress | None) -> list[Action]:
    """What the end of a successful attempt adds: the whole, where the attempt told anything at all."""
    if last is None and job.progress is None:
        return []
    return written(Progress(WHOLE, last.note if last is not None else job.progress_note))
