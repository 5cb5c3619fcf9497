"""Jobs: created, claimed under a lease, finished once."""

from leaseway.jobs.create import TtlTooLongError, create_job
from leaseway.jobs.model import Job, JobStatus, parse_status
from leaseway.jobs.read import JobNotFoundError, NotFinishedError, get_job, get_result
from leaseway.jobs.types import JobContext, JobError, JobType, UnknownJobTypeError, catalogue

__all__ = [
    "Job",
    "JobContext",
    "JobError",
    "JobNotFoundError",
    "JobStatus",
    "JobType",
    "NotFinishedError",
    "TtlTooLongError",
    "UnknownJobTypeError",
    "catalogue",
    "create_job",
    "get_job",
    "get_result",
    "parse_status",
]
