"""Jobs: created, claimed under a lease, finished once.

What creates, changes and reads jobs is imported when it is used first: a function that only runs them starts without.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from leaseway.jobs.job import Job, JobStatus, parse_status
from leaseway.jobs.types import JobContext, JobError, JobType, UnknownJobTypeError, catalogue

if TYPE_CHECKING:
    from leaseway.jobs.control.control import (
        AlreadyEndedError,
        NotRetryableError,
        VersionMovedError,
        cancel_job,
        retry_job,
    )
    from leaseway.jobs.create.build import TtlTooLongError
    from leaseway.jobs.create.create import create_job
    from leaseway.jobs.create.options import Options
    from leaseway.jobs.find.read import JobNotFoundError, NotFinishedError, get_job, get_result, link_to_result

__all__ = [
    "AlreadyEndedError",
    "Job",
    "JobContext",
    "JobError",
    "JobNotFoundError",
    "JobStatus",
    "JobType",
    "NotFinishedError",
    "NotRetryableError",
    "Options",
    "TtlTooLongError",
    "UnknownJobTypeError",
    "VersionMovedError",
    "cancel_job",
    "catalogue",
    "create_job",
    "get_job",
    "get_result",
    "link_to_result",
    "parse_status",
    "retry_job",
]

_MODULES = {
    "AlreadyEndedError": "control.control",
    "NotRetryableError": "control.control",
    "VersionMovedError": "control.control",
    "cancel_job": "control.control",
    "retry_job": "control.control",
    "TtlTooLongError": "create.build",
    "create_job": "create.create",
    "Options": "create.options",
    "JobNotFoundError": "find.read",
    "NotFinishedError": "find.read",
    "get_job": "find.read",
    "get_result": "find.read",
    "link_to_result": "find.read",
}


def __getattr__(name: str) -> Any:
    """Import the module of a name that this package offers and has not imported yet."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
