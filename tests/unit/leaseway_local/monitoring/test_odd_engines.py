"""What an engine or a damaged file may answer the monitor: an error that names it, or nothing, but no crash."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, patch

import httpx
import pytest

from leaseway_local.answer_checks import UnexpectedAnswerError
from leaseway_local.connection.clients import Clients, Target
from leaseway_local.connection.outputs import Outputs
from leaseway_local.engine import processes
from leaseway_local.engine.daemon import DaemonRecord
from leaseway_local.engine.paths import Home
from leaseway_local.monitoring import monitor, queue_metrics
from leaseway_local.monitoring.forwarder import ForwardedCall, Journal
from leaseway_local.monitoring.metric_points import read_points

QUERIES = [{"Id": "a"}, {"Id": "b"}]
NOW = datetime(2026, 2, 4, tzinfo=UTC)


def cloudwatch(*results: dict[str, Any]) -> Any:
    return MagicMock(get_metric_data=lambda **_: {"MetricDataResults": list(results)})


def series(name: str, times: int, values: int) -> dict[str, Any]:
    return {"Id": name, "Timestamps": [NOW] * times, "Values": [1.5] * values}


@pytest.mark.parametrize(
    ("results", "why"),
    [
        ([], "has no metric 'a'"),
        ([series("a", 1, 1)], "has no metric 'b'"),
        ([series("a", 1, 1), series("c", 1, 1)], "has no metric 'b'"),
        ([series("a", 0, 1), series("b", 0, 0)], "has 0 times and 1 values"),
        ([series("a", 2, 1), series("b", 0, 0)], "has 2 times and 1 values"),
    ],
)
def test_points_that_do_not_match_the_queries_are_named(results: list[dict[str, Any]], why: str) -> None:
    with pytest.raises(UnexpectedAnswerError, match=why):
        read_points(cloudwatch(*results), QUERIES, 0, 1)


def test_points_are_pairs_of_second_and_value() -> None:
    points = read_points(cloudwatch(series("b", 1, 1), series("a", 0, 0)), QUERIES, 0, 1)

    assert points == {"a": [], "b": [(int(NOW.timestamp()), 1.5)]}


@pytest.mark.parametrize("value", ["", "many", "-1", "1.5", "9" * 400, None, 5])
def test_a_queue_whose_counts_are_no_numbers_is_named(value: Any) -> None:
    clients = Clients(Target.LOCALSTACK, "127.0.0.1:1")
    answer = {"Attributes": {"ApproximateNumberOfMessages": value}}
    clients._clients["sqs"] = MagicMock(get_queue_attributes=lambda **_: answer)

    with pytest.raises(UnexpectedAnswerError, match="the answer of http://q"):
        queue_metrics.read_queue_data(
            clients, Outputs(Target.LOCALSTACK, "s", "r", "http://127.0.0.1:1", {"JobsQueueUrl": "http://q"})
        )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"5",
        b'{"Attributes": 5}',
        b'{"Attributes": "SentTimestamp"}',
        b'{"Attributes": {"SentTimestamp": []}}',
        b'{"Attributes": {"SentTimestamp": null}}',
        b'{"Attributes": {"SentTimestamp": "soon"}}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_a_listing_that_cannot_be_read_gives_no_age(body: bytes) -> None:
    clients = Clients(Target.LOCALSTACK, "127.0.0.1:1")
    with patch.object(httpx, "get", lambda *_, **__: httpx.Response(200, content=body)):
        assert queue_metrics._read_oldest_age(clients, "http://q") is None


WHOLE = b'{"number":1,"at":2,"since":3,"seen":{},"data":[],"lines":[]}\n'


@pytest.mark.parametrize(
    "rest",
    [
        b"",
        b'{"number":2',
        b"\xff\xfe\n",
        b"[]\n",
        b'{"number":"2","at":2,"since":3,"seen":{},"data":[]}\n',
        b'{"number":2,"at":2,"since":3,"seen":{"a":"b"},"data":[]}\n',
        b'{"number":2,"at":2,"since":3,"seen":{},"data":[5]}\n',
        b"[" * 100_000 + b"\n",
    ],
)
def test_a_journal_is_read_up_to_its_first_damaged_line(tmp_path: Path, rest: bytes) -> None:
    path = tmp_path / "journal"
    path.write_bytes(WHOLE + rest + WHOLE if rest.endswith(b"\n") else WHOLE + rest)

    journal = Journal(path)

    assert journal.calls == [ForwardedCall(1, 2, 3, {}, [], [])]
    assert path.read_bytes() == WHOLE


def test_the_monitor_waits_while_its_journal_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path)
    follower = monitor.Follower(home, "leaseway")
    failure = OSError(28, "No space left on device", "forwarded.jsonl")
    with (
        patch.object(monitor.Engine, "running", lambda _: DaemonRecord(1, "m", 4566)),
        patch.object(follower, "_create_forwarder", MagicMock(side_effect=failure)),
    ):
        follower.step()

    assert "No space left on device" in capsys.readouterr().out


@pytest.mark.parametrize("name", [b"python", b"\xff\xfe", b"a) b", b"a b", b")"])
def test_a_process_is_known_whatever_its_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: bytes) -> None:
    monkeypatch.setattr(processes, "_PROC", tmp_path)
    (tmp_path / "self").mkdir()
    (tmp_path / "7").mkdir()
    numbers = b" ".join(b"%d" % number for number in range(4, 30))
    (tmp_path / "7" / "stat").write_bytes(b"7 (" + name + b") S " + numbers)

    assert processes.start_mark(7) == "22"
