import msgspec

from leaseway.jobs.types import JobContext, JobType


class Quick(msgspec.Struct, forbid_unknown_fields=True):
    wait_ms: int = 0
    error: str | None = None


def run(payload: Quick, context: JobContext) -> dict:
    context.wait(payload.wait_ms / 1000)
    if payload.error:
        raise RuntimeError(payload.error)
    return {"attempt": context.attempt}


TYPE = JobType(name="QUICK", payload=Quick, run=run, summary="returns its attempt, or raises")
