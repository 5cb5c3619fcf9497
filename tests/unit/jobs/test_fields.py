"""A job's fields are declared once, and reach its row and back."""

import msgspec
import pytest

from leaseway.jobs.content import Content
from leaseway.jobs.job import Attempt, AttemptEnd, Job, JobStatus
from leaseway.jobs.table import JobModel, job_from_item, model_from_job

JOB = Job(id="a", type="echo", payload={"n": 1}, owner="o", status=JobStatus.CREATED, ttl_ms=1, max_attempts=1,
          created_at=1, updated_at=1)  # fmt: skip
SPECIAL = {
    "status": JobStatus.FAILED,
    "payload": {"n": 2},
    "result": {"n": 3},
    "tags": ("x", "y"),
    "history": (Attempt(1, "w", 1, 2, AttemptEnd.ERROR, "e"),),
    "expires_at": 99_999_999_999,
}


@pytest.mark.parametrize("name", Job.__struct_fields__)
def test_every_field_of_a_job_survives_its_row(name: str) -> None:
    numeric = type(getattr(JobModel, name)).__name__ == "NumberAttribute"
    value = SPECIAL.get(name, 7 if numeric else "text")
    job = msgspec.structs.replace(JOB, **{name: value})
    content = Content(msgspec.json.encode(job.payload).decode(), job.payload_key)
    assert job_from_item(model_from_job(job, content).serialize()) == job
