import time

import msgspec

from leaseway.jobs.types import JobContext, JobType


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    pass


def run(payload: Nothing, context: JobContext) -> dict:
    """Ignores its deadline, as a library call without a timeout would."""
    time.sleep(3_600)
    return {}


TYPE = JobType(name="STUBBORN", payload=Nothing, run=run, summary="never returns")
