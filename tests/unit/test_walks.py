"""The walks that docs/explanation/architecture.md describes are those that requests, jobs and ticks take."""

import importlib
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from leaseway import aws, clock
from leaseway.jobs import create_job
from leaseway.jobs.queue_names import NORMAL
from leaseway.tasks import Definition, create_task
from leaseway.tasks.model import Overlap
from support.api_gateway import post
from support.room_trace import ROOT, Entrance, RoomTrace, trace_rooms

pytestmark = pytest.mark.usefixtures("cloud")

PAGE = (ROOT / "docs" / "explanation" / "architecture.md").read_text().partition("## Three walks")[2]
# In backticks, with a slash: what has none is a name, or refers to a step before.
ROOM = re.compile(r"`((?:functions|leaseway)/[\w/.]*)`")
LEFT_OUT = tuple(ROOM.findall(PAGE.partition("### ")[0].partition("is left out")[2]))
# Rooms that serve more than one step of a job's run, as the page's prose says.
SHARED_BY_A_RUN = (
    "leaseway/jobs/table.py",
    "leaseway/jobs/content.py",
    "leaseway/jobs/progress.py",
    "leaseway/jobs/queue.py",
)
SLEEP = {"type": "SLEEP", "payload": {"duration_ms": 5}}


def read_walks() -> list[list[str]]:
    """The files and folders that the page's numbered lists name, in order, one list a walk."""
    walks: list[list[str]] = []
    for number, text in re.findall(r"^(\d+)\. (.*)$", PAGE, re.MULTILINE):
        if number == "1":
            walks.append([])
        walks[-1] += ROOM.findall(text.partition("side by side")[0])
    return walks


BALANCE, SUBMISSION, RUN, TICK = read_walks()


def walk(action: Callable[[], Any], listed: list[str], shared: tuple[str, ...] = ()) -> RoomTrace:
    """Trace the second of two calls: the first one of a process imports and loads what later ones have."""

    def is_left_out(room: str) -> bool:
        return room.startswith((*LEFT_OUT, *shared)) and room not in listed

    action()
    with trace_rooms(is_left_out) as trace:
        action()
    return trace


def shorten(rooms: list[str], listed: list[str]) -> list[str]:
    """Replace files in a listed folder by the folder."""
    folders = [name for name in listed if name.endswith("/")]
    return [next((folder for folder in folders if room.startswith(folder)), room) for room in rooms]


def test_a_balance_update() -> None:
    post("/api/users", {"userId": "alice", "balance": 10})
    update = {"userId": "alice", "amount": -2, "reference": "lunch"}

    trace = walk(lambda: post("/api/users/update-balance", update), BALANCE)

    assert trace.list_rooms() == BALANCE
    assert trace.find_second_entrances() == []


def test_the_submission_of_a_job() -> None:
    listed = [*BALANCE[:5], *SUBMISSION]

    trace = walk(lambda: post("/api/v1/jobs", {**SLEEP, "tags": ["blue"], "delay_seconds": 5}), listed)

    assert trace.list_rooms() == listed
    assert trace.find_second_entrances() == []


def test_the_run_of_a_job() -> None:
    handler = importlib.import_module("worker.app").handler
    context = SimpleNamespace(log_stream_name="stream-1", get_remaining_time_in_millis=lambda: 900_000)
    create_job("ann", "SLEEP", {"duration_ms": 5})
    create_job("ann", "SLEEP", {"duration_ms": 5})
    events = [receive(), receive()]

    trace = walk(lambda: handler(events.pop(), context), RUN, SHARED_BY_A_RUN)

    assert shorten(trace.list_rooms(), RUN) == RUN
    assert trace.find_second_entrances(loops=["functions/worker/batch.py"]) == []


def receive() -> dict[str, Any]:
    answer = aws.client("sqs").receive_message(QueueUrl=NORMAL.url)
    (message,) = answer["Messages"]
    record = {"messageId": message["MessageId"], "receiptHandle": message["ReceiptHandle"], "body": message["Body"]}
    return {"Records": [record]}


def test_a_tick() -> None:
    handler = importlib.import_module("scheduler.app").handler
    create_task("alice", Definition(name="hourly", every="1h", overlap=Overlap.ALLOW, **SLEEP))
    now = clock.now_ms() / 1000
    times = [now + 7201, now + 3601]

    def tick() -> None:
        moment = times.pop()
        with clock.fixed(lambda: moment):
            assert handler({}, None)["started"] == 1

    trace = walk(tick, TICK)

    assert trace.list_rooms() == TICK
    assert trace.find_second_entrances() == []


@pytest.mark.parametrize(
    ("entrances", "expected"),
    [
        pytest.param(["a", "a>b", "b>c", "c>b", "c>a", "b>c"], [], id="answers go back up"),
        pytest.param(["a", "a>b", "a>b", "a>c"], [], id="a stay may call twice"),
        pytest.param(["a", "a>b", "a>c", "a>b"], ["b is entered from a, and again after c"], id="after another"),
        pytest.param(["a", "a>b", "a>c", "c>b"], ["b is entered from a and from c"], id="from another"),
    ],
)
def test_a_second_entrance_is_noticed(entrances: list[str], expected: list[str]) -> None:
    trace = RoomTrace(lambda room: False)
    for each in entrances:
        by, _, room = each.rpartition(">")
        trace.entrances.append(Entrance(by or None, room))

    assert trace.find_second_entrances() == expected
