"""Statistics from the stream: each run counted once, by task and by worker, whatever is repeated."""

import random
from typing import Any

import pytest

from leaseway import clock, counters
from leaseway.dynamodb.table import Item
from leaseway.tally.changes import read_changes
from leaseway.tally.task_statistics import RunStatistics, read_statistics
from support.call_meter import meter_calls

pytestmark = pytest.mark.usefixtures("cloud")


def image(status: str, number: int, *, task: str | None = "t1", worker: str = "w1", took: int = 20_000) -> Item:
    facts: dict[str, Any] = {"id": {"S": f"job-{number}"}, "owner": {"S": "ann"}, "type": {"S": "SLEEP"}}
    facts |= {"status": {"S": status}} | ({"task_id": {"S": task}} if task else {})
    if status != "CREATED":
        facts |= {"worker": {"S": worker}, "started_at": {"N": "1000"}}
    if status in ("COMPLETED", "FAILED", "CANCELLED"):
        facts |= {"finished_at": {"N": str(1000 + took)}}
    return facts


def life(number: int, end: str = "COMPLETED", **facts: Any) -> list[dict[str, Any]]:
    """The stream's records of a run from creation to its end."""
    states = [None, *(image(status, number, **facts) for status in ("CREATED", "RUNNING", end))]
    return [record(f"{number}-{step}", *states[step : step + 2]) for step in range(3)]


def record(event: str, old: Item | None, new: Item | None) -> dict[str, Any]:
    images = {"OldImage": old} if old else {}
    images |= {"NewImage": new} if new else {}
    return {"eventID": event, "dynamodb": images}


def count(records: list[dict[str, Any]]) -> None:
    for start in range(0, len(records), 100):
        counters.count(read_changes(records[start : start + 100]))


def test_runs_are_counted_by_task_and_by_worker() -> None:
    # Given runs of two tasks on two workers, and a job that is no run
    count(life(1, took=1_000) + life(2, end="FAILED", took=3_000) + life(3, task="t2", worker="w2", end="CANCELLED"))
    count(life(4, task=None) + life(5, task="t2", worker="w2")[:2])
    # When the statistics are read
    stats = read_statistics()
    # Then each run is counted at its task and its worker
    t1, t2 = stats.by_task["t1"], stats.by_task["t2"]
    assert (t1.runs, t1.successes, t1.failures, t1.mean_ms) == (2, 1, 1, 2_000)
    assert (t2.runs, t2.cancelled, t2.running, t2.mean_ms) == (1, 1, 1, None)
    assert {worker: figures.runs for worker, figures in stats.by_worker.items()} == {"w1": 2, "w2": 1}
    assert stats.overall.runs == 3


def test_a_repeated_batch_is_counted_once() -> None:
    records = life(1) + life(2) + life(3)
    count(records)
    before = read_statistics()
    # When the stream repeats it, cut otherwise
    count(records[:5])
    count(records[5:])
    assert read_statistics() == before


def test_a_run_that_is_tried_again_by_hand_has_not_ended() -> None:
    count(life(1, end="FAILED"))
    count([record("retry", image("FAILED", 1), image("CREATED", 1))])
    assert read_statistics().by_task["t1"] == RunStatistics()
    assert read_statistics().by_worker["w1"].runs == 0


def test_a_run_that_expires_stays_counted() -> None:
    count(life(1))
    count([record("gone", image("COMPLETED", 1), None)])
    assert read_statistics().by_task["t1"].successes == 1


def test_percentiles_are_within_a_tenth() -> None:
    chance = random.Random(7)
    durations = sorted(int(chance.lognormvariate(9, 1)) + 1 for _ in range(400))
    count([record for number, took in enumerate(durations) for record in life(number, took=took)])
    figures = read_statistics().overall
    assert figures.p95_ms == pytest.approx(durations[379], rel=0.1)
    assert figures.mean_ms == pytest.approx(sum(durations) / 400, rel=0.001)


@pytest.mark.parametrize("runs", [10, 1_000])
def test_a_summary_reads_the_same_for_any_number_of_runs(runs: int) -> None:
    for number in range(0, runs, 33):
        count([entry for more in range(min(33, runs - number)) for entry in life(number + more, took=5_000 + more)])
    with meter_calls() as meter:
        assert read_statistics().overall.runs == runs
    assert meter.operations() == {"dynamodb.Query": 2}
    assert (meter.keys(), meter.read_units()) == (2, 1)


def test_many_tasks_and_workers_in_one_batch_fit_into_transactions() -> None:
    records = [entry for n in range(99) for entry in life(n, task=f"t{n}", worker=f"w{n}")[2:]]
    count(records)
    assert read_statistics().overall.runs == 99


def test_a_worker_that_ran_nothing_for_long_is_forgotten() -> None:
    count(life(1))
    assert read_statistics().by_worker
    later = clock.now_ms() / 1000 + 91 * 86_400
    with clock.fixed(lambda: later):
        assert (read_statistics().by_worker, read_statistics().overall.runs) == ({}, 1)
