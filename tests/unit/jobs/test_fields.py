"""A job's fields are declared once, and reach its row and back, and its view."""

from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from api.job_views import derive_view
from leaseway.dynamodb.table import Table
from leaseway.jobs.content import Content
from leaseway.jobs.fields import Internal, Milliseconds, Public, default
from leaseway.jobs.job import Attempt, AttemptEnd, Job, JobStatus
from leaseway.jobs.stored import StoredRecord, derive_attributes
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
    of_kind = {"NumberAttribute": 7, "BooleanAttribute": True}
    value = SPECIAL.get(name, of_kind.get(type(getattr(JobModel, name)).__name__, "text"))
    job = msgspec.structs.replace(JOB, **{name: value})
    content = Content(msgspec.json.encode(job.payload).decode(), job.payload_key)
    assert job_from_item(model_from_job(job, content).serialize()) == job


class ExtendedJob(Job, frozen=True, kw_only=True):
    """A job with more fields: each is declared here, and nothing else in this module knows it but the values below."""

    note: Annotated[Public[str | None], Meta(description="A note")] = default(None)
    paused_at: Public[Milliseconds | None] = default(None)
    is_urgent: Public[bool] = default(False)
    regions: Public[tuple[str, ...]] = default(())
    limits: Public[dict[str, int]] = default({})
    secret: Internal[str | None] = default(None)


class ExtendedModel(Table):
    table_setting = "jobs_table"

    class Meta:
        table_name = "set by Table"

    vars().update(derive_attributes(ExtendedJob, hash_key="id"))


MORE: dict[str, Any] = {"note": "n", "paused_at": 1_700_000_000_123, "is_urgent": True, "regions": ("a", "b"),
                        "limits": {"cpu": 2}, "secret": "s"}  # fmt: skip


def extend(**more: object) -> ExtendedJob:
    return ExtendedJob(**msgspec.structs.asdict(JOB), **more)


@pytest.mark.parametrize("more", [{}, *({name: value} for name, value in MORE.items()), MORE])
def test_a_field_that_is_declared_once_reaches_the_item_and_back(more: dict[str, Any]) -> None:
    stored, job = StoredRecord(ExtendedJob), extend(**more)
    item = ExtendedModel(**stored.encode(job)).serialize()
    assert ExtendedJob(**stored.decode(item)) == job


def test_a_public_field_that_is_declared_once_reaches_the_view_and_its_document() -> None:
    view = derive_view(ExtendedJob)
    members = {name: view[name].convert(extend(**MORE)) for name in MORE if name in view}
    assert members == {"note": "n", "paused_at": "2023-11-14T22:13:20.123Z", "is_urgent": True, "regions": ["a", "b"],
                       "limits": {"cpu": 2}}  # fmt: skip
    schema = msgspec.json.schema(msgspec.defstruct("View", [(name, form.type) for name, form in view.items()]))
    properties = schema["$defs"]["View"]["properties"]
    assert properties["note"] == {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "A note"}
    assert properties["paused_at"]["anyOf"][0]["format"] == "date-time"


def test_an_internal_field_is_in_no_view() -> None:
    assert not {"secret", "claim_token", "fence"} & derive_view(ExtendedJob).keys()


def test_a_public_field_without_a_value_is_null_in_the_view() -> None:
    view, job = derive_view(ExtendedJob), extend()
    assert [view[name].convert(job) for name in ("note", "paused_at", "is_urgent", "regions")] == [
        None,
        None,
        False,
        [],
    ]
