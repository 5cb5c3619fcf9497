import msgspec

from leaseway.jobs.types import JobContext, JobType


class Tale(msgspec.Struct, forbid_unknown_fields=True):
    parts: int
    each_ms: int = 0
    error: str | None = None


def run(payload: Tale, context: JobContext) -> dict:
    for part in range(payload.parts):
        context.progress((part + 1) / payload.parts / 2, f"part {part + 1}")
        if context.wait(payload.each_ms / 1000):
            return {"told": part + 1}
    if payload.error:
        raise RuntimeError(payload.error)
    return {"told": payload.parts}


TYPE = JobType(name="TELLER", payload=Tale, run=run, summary="tells its progress up to a half")
