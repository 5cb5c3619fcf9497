"""Tasks with everything but what a test is about."""

from collections.abc import Callable
from typing import Any

import pytest

from leaseway.tasks import Definition, Task, create_task
from support.fake_clock import FakeClock


@pytest.fixture
def make(fake_clock: FakeClock) -> Callable[..., Task]:
    """Makes a task: five-minutely, a SLEEP, overlap and catch-up as they are by default."""
    count = 0

    def make(**options: Any) -> Task:
        nonlocal count
        count += 1
        fields: dict[str, Any] = {"name": f"task-{count}", "type": "SLEEP", "payload": {"duration_ms": 1}}
        if "cron" not in options:
            fields["every"] = "5m"
        return create_task("ann", Definition(**fields | options))

    return make
