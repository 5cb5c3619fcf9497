"""The campaign's verdict finds each thing that must not be, and nothing in a campaign that went well."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from campaign.verdict import Evidence, JournalEntry, find_violations
from campaign.workload import Wish, draw_workload, split_into_lanes

SLEEP: dict[str, Any] = {"type": "SLEEP", "payload": {"duration_ms": 1}}
CREATED = {"status": "CREATED", "fence": 0}
RUNNING = {"status": "RUNNING", "fence": 1, "worker": "w1"}
COMPLETED = {"status": "COMPLETED", "fence": 1}


def wish(number: int, *, expected: str = "COMPLETED", **options: Any) -> Wish:
    return Wish(number, 0.0, SLEEP | options, expected)


def run_through(job_id: str, *statuses: dict[str, Any]) -> list[JournalEntry]:
    """The journal of a job that had these states, one after the other."""
    states = [{}, *statuses]
    return [JournalEntry(job_id, old, new) for old, new in pairwise(states)]


def complete(*job_ids: str) -> list[JournalEntry]:
    return [entry for job_id in job_ids for entry in run_through(job_id, CREATED, RUNNING, COMPLETED)]


GOOD = Evidence(
    accepted={"a": wish(0, order_key="k/1"), "b": wish(1, order_key="k/1"), "c": wish(2)},
    items={job_id: {"id": job_id, "status": "COMPLETED", "attempts": 1} for job_id in ("a", "b", "c")},
    journal=complete("a", "b", "c"),
    waiting_messages={"JobsQueue": 0},
    killed_with={},
)


def test_a_campaign_that_went_well_has_no_violation() -> None:
    assert find_violations(GOOD) == []


@pytest.mark.parametrize(
    ("change", "violation"),
    [
        ({"items": {name: GOOD.items[name] for name in ("a", "b")}}, "lost: job 2"),
        ({"items": {**GOOD.items, "c": {"status": "RUNNING"}}}, "lost: job 2"),
        ({"items": {**GOOD.items, "d": {"status": "COMPLETED"}}}, "created twice: d"),
        ({"journal": [*GOOD.journal, *complete("c")]}, "finished 2 times: job 2"),
        ({"journal": [*GOOD.journal, JournalEntry("c", COMPLETED, CREATED)]}, "left its end: c"),
        ({"journal": complete("b", "a", "c")}, "swapped: of k/1, job 1 began before job 0"),
        ({"journal": complete("b", "c")}, "swapped: of k/1, job 1 began before job 0"),
        ({"items": {**GOOD.items, "c": {"status": "FAILED"}}}, "FAILED instead of COMPLETED: job 2"),
        ({"items": {**GOOD.items, "c": {"status": "CANCELLED"}}}, "CANCELLED instead of COMPLETED: job 2"),
        ({"accepted": {**GOOD.accepted, "c": wish(2, expected="FAILED")}}, "COMPLETED instead of FAILED: job 2"),
        ({"waiting_messages": {"JobsQueue": 3}}, "left over: 3 messages wait in JobsQueue"),
    ],
)
def test_each_thing_that_must_not_be_is_found(change: dict[str, Any], violation: str) -> None:
    violations = find_violations(replace(GOOD, **change))
    assert [text[: len(violation)] for text in violations] == [violation]


@pytest.mark.parametrize(("kills", "is_excused"), [(2, False), (3, True)])
def test_a_job_may_fail_only_if_the_campaign_killed_each_of_its_workers(kills: int, is_excused: bool) -> None:
    failed = {"status": "FAILED", "attempts": 3, "crashes": 3}
    evidence = replace(GOOD, items={**GOOD.items, "c": failed}, killed_with={"c": kills})
    assert (find_violations(evidence) == []) == is_excused


def test_a_kill_is_no_excuse_for_a_cancelled_job() -> None:
    cancelled = {"status": "CANCELLED", "attempts": 1}
    evidence = replace(GOOD, items={**GOOD.items, "c": cancelled}, killed_with={"c": 1})
    assert [text[:9] for text in find_violations(evidence)] == ["CANCELLED"]


def test_a_takeover_is_no_swap_and_no_second_end() -> None:
    again = RUNNING | {"fence": 2, "worker": "w2"}
    journal = [*run_through("a", CREATED, RUNNING, again, COMPLETED), *complete("b", "c")]
    assert find_violations(replace(GOOD, journal=journal)) == []


def test_one_seed_draws_the_same_jobs_of_every_kind() -> None:
    workload = draw_workload(2_000, 7, longest_ms=10_000)
    assert workload == draw_workload(2_000, 7, longest_ms=10_000)
    assert workload != draw_workload(2_000, 8, longest_ms=10_000)
    kinds = {wish.body["type"] for wish in workload}
    assert kinds == {"SLEEP", "GENERATE_LOGIN", "GENERATE_NUMBER", "PRIME_COUNT", "IMAGE_RESIZE"}
    assert {wish.body.get("priority") for wish in workload} == {None, "high", "normal", "low"}
    assert 0.01 < sum(not wish.is_healthy for wish in workload) / 2_000 < 0.05


def test_all_jobs_of_an_order_key_are_created_by_one_thread() -> None:
    lanes = split_into_lanes(draw_workload(500, 7, longest_ms=10_000), 8)
    assert sorted(wish.number for lane in lanes for wish in lane) == list(range(500))
    keys = [{wish.order_key for wish in lane if wish.order_key} for lane in lanes]
    assert sum(map(len, keys)) == len(set().union(*keys)) > 10
