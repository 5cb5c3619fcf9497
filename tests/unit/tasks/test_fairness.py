"""No task, shard, call or queue stops the runs of the others."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError

from leaseway.dynamodb import batches
from leaseway.dynamodb.query import Query
from leaseway.errors import UnavailableError
from leaseway.jobs import JobStatus, queue
from leaseway.settings import settings
from leaseway.tasks import CatchUp, Task, change_task, start_now
from leaseway.tasks import tick as ticking
from leaseway.tasks.model import TaskModel
from leaseway.tasks.tick import tick
from support.fake_clock import FakeClock
from support.task_runs import count_jobs, read_history, read_last_run, reload_task

Make = Callable[..., Task]
MINUTE = 60_000


@pytest.fixture
def set_budget(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    def set_budget(items: int) -> None:
        monkeypatch.setenv("SCHEDULE_ITEMS", str(items))
        settings.cache_clear()

    return set_budget


def shard_of(task: Task) -> str:
    item = TaskModel.read(task.id)
    assert item is not None
    return str(item["due_key"]["S"])


def test_a_spent_budget_starves_no_shard(fake_clock: FakeClock, make: Make, set_budget: Callable[[int], None]) -> None:
    # Given minutely tasks in every shard, two of three of which a tick can settle
    tasks = [make(every="60s") for _ in range(18)]
    shards = Counter(map(shard_of, tasks))
    assert len(shards) > 1
    set_budget(12)
    # When ticks come for a while
    for _ in range(12):
        fake_clock.move(minutes=1)
        assert tick().left
    # Then each task was settled about as often as any other, whatever its shard
    settled = [(reload_task(task).last_slot or 0) - task.created_at for task in tasks]
    assert min(settled) >= 10 * MINUTE


def test_the_lag_is_that_of_the_earliest_slot_of_all_shards(
    fake_clock: FakeClock, make: Make, set_budget: Callable[[int], None]
) -> None:
    # Given tasks of all shards that are due, and one that was due long before them
    tasks = [make() for _ in range(12)]
    late = max(tasks, key=shard_of)
    TaskModel.change(late.id, [TaskModel.next_run.set(fake_clock.ms - 20 * MINUTE)], TaskModel.id.exists())
    fake_clock.move(minutes=5)
    set_budget(1)
    # When a tick has time for one
    report = tick()
    # Then it is that one, and the lag is its age
    assert (report.lag_ms, report.started, report.left) == (25 * MINUTE, 1, True)
    assert read_last_run(late).status is JobStatus.CREATED


def test_a_task_of_a_retired_type_stops_no_healthy_run(
    fake_clock: FakeClock, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given due tasks, one of a type whose queue was removed since
    retired = make(type="STORAGE_AUDIT", payload={})
    healthy = [make() for _ in range(12)]
    monkeypatch.setenv("TYPE_QUEUE_URLS", "")
    settings.cache_clear()
    sent: list[str] = []
    real = queue.send

    def send(batch: Sequence[queue.Outgoing]) -> int:
        sent.extend(outgoing.message.job_id for outgoing in batch)
        return real(batch)

    monkeypatch.setattr(queue, "send", send)
    fake_clock.move(minutes=5)
    # When a tick comes
    report = tick()
    # Then the healthy runs have started and were sent
    assert (report.started, report.sent, report.set_aside, report.failed) == (12, 12, 1, 0)
    assert {read_last_run(task).id for task in healthy} == set(sent)
    # And the other's slot is shown as missed, without a job, and its schedule goes on
    assert [(entry.status, entry.slots) for entry in read_history(retired)] == [("MISSED", 1)]
    assert (reload_task(retired).missed, reload_task(retired).last_job_id) == (1, None)
    assert reload_task(retired).next_run == fake_clock.ms + 5 * MINUTE
    # And it cannot be started by hand either
    with pytest.raises(UnavailableError, match="no queue"):
        start_now(retired.id)
    assert count_jobs() == 12


def test_a_send_that_raises_stops_no_other(fake_clock: FakeClock, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(25):
        make()
    fake_clock.move(minutes=5)
    real, calls = queue.send, Counter[str]()

    def send(batch: Any) -> int:
        calls["all"] += 1
        if calls["all"] == 2:
            raise RuntimeError("broken")
        return real(batch)

    monkeypatch.setattr(queue, "send", send)
    report = tick()
    assert (report.started, report.sent, calls["all"]) == (25, 15, 3)


def _make_throttling() -> ClientError:
    return ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "Query")


def test_a_shard_that_cannot_be_read_stops_no_other(
    fake_clock: FakeClock, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given due tasks in several shards, one of which DynamoDB throttles
    tasks = [make() for _ in range(12)]
    shards = Counter(map(shard_of, tasks))
    throttled = min(shards)
    fake_clock.move(minutes=5)
    real = Query.items

    def items(self: Query, **bounds: Any) -> Any:
        if self.key == ("due_key", throttled):
            raise _make_throttling()
        return real(self, **bounds)

    with monkeypatch.context() as patch:
        patch.setattr(Query, "items", items)
        report = tick()
    # Then the others are settled, and the next tick settles the rest
    assert (report.failed, report.started) == (1, 12 - shards[throttled])
    assert tick().started == shards[throttled]


def test_tasks_that_cannot_be_read_are_left_to_the_next_tick(
    fake_clock: FakeClock, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        make()
    fake_clock.move(minutes=5)
    with monkeypatch.context() as patch:
        patch.setattr(ticking, "READ_TOGETHER", 1)
        real, calls = batches.read_items, Counter[str]()

        def read_items(table: str, keys: Any, **options: Any) -> Any:
            calls[table] += 1
            if (table, calls[table]) == ("tasks_table", 2):
                raise _make_throttling()
            return real(table, keys, **options)

        patch.setattr(ticking, "read_items", read_items)
        report = tick()
    assert (report.started, report.failed, report.set_aside) == (2, 1, 0)
    assert tick().started == 1


def break_cron(task: Task) -> None:
    TaskModel.change(task.id, [TaskModel.cron.set("nonsense"), TaskModel.every.remove()], TaskModel.id.exists())


def break_item(task: Task) -> None:
    TaskModel.change(task.id, [TaskModel.overlap.set("sometimes")], TaskModel.id.exists())


@pytest.mark.parametrize("break_it", [break_cron, break_item])
def test_broken_tasks_stand_before_no_other(
    fake_clock: FakeClock, make: Make, set_budget: Callable[[int], None], break_it: Callable[[Task], None]
) -> None:
    # Given more broken tasks than a tick can settle, all due before a healthy one
    for _ in range(3):
        break_it(make())
    fake_clock.move(minutes=1)
    healthy = make()
    set_budget(3)
    fake_clock.move(minutes=5)
    # When two ticks come
    first, second = tick(), tick()
    # Then the broken ones were set aside, once, and the healthy one has its run
    assert (first.set_aside, first.started, second.set_aside, second.started) == (3, 0, 0, 1)
    assert read_last_run(healthy).status is JobStatus.CREATED
    # And they are counted again in an hour
    fake_clock.move(hours=1)
    assert tick().set_aside + tick().set_aside == 3


def test_a_task_that_was_set_aside_keeps_its_slots_once_it_can_be_planned(
    fake_clock: FakeClock, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a task that one release cannot plan
    task = make(every="7m", catch_up=CatchUp.LATEST)
    fake_clock.move(minutes=7, seconds=20)

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("leaseway.tasks.slots.plan_slot", fail)
        assert tick().set_aside == 1
    # When the next release comes to it
    fake_clock.move(hours=1)
    assert tick().started == 1
    # Then it goes on at its own times, and the slots between are shown as missed
    assert task.next_run is not None
    assert (read_last_run(task).slot or 0) - task.next_run == 8 * 7 * MINUTE
    assert ((reload_task(task).next_run or 0) - task.next_run) % (7 * MINUTE) == 0
    assert (reload_task(task).missed, reload_task(task).aside_from) == (8, None)


def test_a_change_brings_a_task_back_that_was_set_aside(fake_clock: FakeClock, make: Make) -> None:
    task = make()
    break_item(task)
    fake_clock.move(minutes=5)
    tick()
    TaskModel.change(task.id, [TaskModel.overlap.set("skip")], TaskModel.id.exists())
    changed = change_task(task.id, {"payload": {"duration_ms": 2}})
    assert (changed.aside_from, changed.next_run) == (None, fake_clock.ms + 5 * MINUTE)
