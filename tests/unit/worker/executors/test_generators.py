"""SLEEP, GENERATE_LOGIN and GENERATE_NUMBER use their parameters, and refuse others at creation."""

import threading
import time
from collections.abc import Callable

import pytest

from leaseway.errors import InvalidInputError
from leaseway.jobs.types import JobError, JsonObject, catalogue
from support.running_job import RunningJob


def test_every_file_of_the_package_is_a_type() -> None:
    assert {"SLEEP", "GENERATE_LOGIN", "GENERATE_NUMBER"} <= set(catalogue())


def test_sleep_waits_as_long_as_asked(run_job: Callable[..., JsonObject]) -> None:
    began = time.monotonic()
    result = run_job("SLEEP", {"duration_ms": 120})
    assert time.monotonic() - began >= 0.119
    assert 115 <= result["slept_ms"] < 60_000


def test_sleep_of_nothing_ends_at_once(run_job: Callable[..., JsonObject]) -> None:
    assert run_job("SLEEP", {"duration_ms": 0})["slept_ms"] < 60_000


def test_a_cancelled_sleep_ends_at_once(run_job: Callable[..., JsonObject], job: RunningJob) -> None:
    threading.Timer(0.1, job.cancel).start()
    began = time.monotonic()
    with pytest.raises(JobError, match="of 840000 ms"):
        run_job("SLEEP", {"duration_ms": 840_000})
    assert time.monotonic() - began < 30


def test_a_sleep_ends_with_its_deadline(run_job: Callable[..., JsonObject], new_job: type[RunningJob]) -> None:
    with pytest.raises(JobError, match="woken"):
        run_job("SLEEP", {"duration_ms": 840_000}, new_job(seconds=0.1))


def test_a_login_has_ten_letters_and_digits_by_default(run_job: Callable[..., JsonObject]) -> None:
    login = run_job("GENERATE_LOGIN", {})["login"]
    assert len(login) == 10
    assert login.isascii()
    assert login.isalnum()


def test_a_login_is_as_long_as_asked(run_job: Callable[..., JsonObject]) -> None:
    assert [len(run_job("GENERATE_LOGIN", {"length": n})["login"]) for n in (4, 33, 64)] == [4, 33, 64]


def test_logins_use_every_letter_and_digit_and_do_not_repeat(run_job: Callable[..., JsonObject]) -> None:
    logins = {run_job("GENERATE_LOGIN", {"length": 64})["login"] for _ in range(100)}
    assert len(logins) == 100
    assert len(set("".join(logins))) == 62


def test_a_number_has_eight_digits_by_default(run_job: Callable[..., JsonObject]) -> None:
    number = run_job("GENERATE_NUMBER", {})["number"]
    assert type(number) is int
    assert 10_000_000 <= number <= 99_999_999


@pytest.mark.parametrize("digits", range(1, 16))
def test_a_number_never_starts_with_zero(run_job: Callable[..., JsonObject], digits: int) -> None:
    numbers = [run_job("GENERATE_NUMBER", {"digits": digits})["number"] for _ in range(200)]
    assert {len(str(number)) for number in numbers} == {digits}
    assert min(numbers) > 0


def test_every_number_fits_a_double_exactly(run_job: Callable[..., JsonObject]) -> None:
    number = run_job("GENERATE_NUMBER", {"digits": 15})["number"]
    assert int(float(number)) == number


@pytest.mark.parametrize(
    ("name", "payload", "field"),
    [
        ("SLEEP", {}, "payload.duration_ms"),
        ("SLEEP", {"duration_ms": -1}, "payload.duration_ms"),
        ("SLEEP", {"duration_ms": 840_001}, "payload.duration_ms"),
        ("SLEEP", {"duration_ms": "5"}, "payload.duration_ms"),
        ("SLEEP", {"duration_ms": True}, "payload.duration_ms"),
        ("SLEEP", {"duration_ms": 1.5}, "payload.duration_ms"),
        ("SLEEP", {"duration_ms": 1, "more": 1}, "payload.more"),
        ("GENERATE_LOGIN", {"length": 3}, "payload.length"),
        ("GENERATE_LOGIN", {"length": 65}, "payload.length"),
        ("GENERATE_LOGIN", {"digits": 8}, "payload.digits"),
        ("GENERATE_NUMBER", {"digits": 0}, "payload.digits"),
        ("GENERATE_NUMBER", {"digits": 16}, "payload.digits"),
        ("GENERATE_NUMBER", {"digits": None}, "payload.digits"),
    ],
)
def test_a_payload_that_does_not_fit_is_refused_at_creation(
    run_job: Callable[..., JsonObject], name: str, payload: dict, field: str
) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        run_job(name, payload)
    assert refusal.value.field == field


def test_a_long_sleep_reports_each_tenth_and_a_short_one_nothing(
    run_job: Callable[..., JsonObject], job: RunningJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_job("SLEEP", {"duration_ms": 60})
    assert job.progress_reports == []
    monkeypatch.setattr("worker.executors.sleep._TELLING_MS", 50)
    slept = run_job("SLEEP", {"duration_ms": 60})
    assert [fraction for fraction, _ in job.progress_reports] == [part / 10 for part in range(1, 11)]
    assert slept["slept_ms"] >= 60
