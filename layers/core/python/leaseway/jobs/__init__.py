"""Jobs: created, claimed under a lease, finished once."""

from leaseway.jobs.control.control import AlreadyEndedError, NotRetryableError, VersionMovedError, cancel_job, retry_job
from leaseway.jobs.create.build import TtlTooLongError
from leaseway.jobs.create.create import create_job
from leaseway.jobs.create.options import Options
from leaseway.jobs.find.read import JobNotFoundError, NotFinishedError, get_job, get_result, link_to_result
from leaseway.jobs.job import Job, JobStatus, parse_status
from leaseway.jobs.types import JobContext, JobError, JobType, UnknownJobTypeError, catalogue

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
