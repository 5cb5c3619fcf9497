"""What an executor's test needs: a context as the worker gives it, and a payload through the type's own schema."""

from collections.abc import Callable
from typing import Any

import pytest

from leaseway.jobs.types import JsonObject, job_type
from support.running_job import RunningJob


@pytest.fixture
def job() -> RunningJob:
    return RunningJob()


@pytest.fixture
def new_job() -> type[RunningJob]:
    return RunningJob


@pytest.fixture
def run_job(job: RunningJob) -> Callable[..., JsonObject]:
    """Create and run: the payload is checked as at creation, then executed."""

    def create_and_run(name: str, payload: dict[str, Any], context: RunningJob = job) -> JsonObject:
        declared = job_type(name)
        parsed = declared.parse(payload)
        if declared.check:
            declared.check(parsed, context.owner)
        return declared.run(parsed, context)

    return create_and_run
