"""A node as a process: how it ends when an executor does not return, and its command line."""

import pytest

from support.worker_programs.running import run_program
from worker.node.options import parse


def test_an_executor_that_outlives_its_deadline_ends_the_node_after_its_neighbours_with_status_1() -> None:
    ended = run_program("stuck_node")

    assert ended.stdout.splitlines()[-1:] == ["CANCELLED COMPLETED 0 0"], ended.stderr
    assert ended.returncode == 1


def test_a_node_whose_thread_fails_ends_with_status_1() -> None:
    ended = run_program("failing_node")

    assert ended.returncode == 1
    assert "no polling for 5 seconds" in ended.stdout + ended.stderr


def test_the_generators_lease_lasts_two_renewal_intervals() -> None:
    assert parse(["--refresh-ms", "700"]).lease_ms == 1_400


@pytest.mark.parametrize("arguments", [["--concurrency", "0"], ["--poll-seconds", "20"], ["--refresh-ms", "0"]])
def test_invalid_options_end_the_process_before_it_begins(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refusal:
        parse(arguments)

    assert refusal.value.code == 2
    assert arguments[0] in capsys.readouterr().err
