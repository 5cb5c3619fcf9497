"""Writes that are repeated until they are answered: what is known when none was."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

from leaseway import clock
from leaseway.dynamodb.repetition import (
    WriteUnclearError,
    decide_until_written,
    repeat_if_unwritten,
    repeat_until_answered,
)
from leaseway.errors import OutcomeUnknownError, RepeatableOutcomeUnknownError, UnavailableError
from support.faulty_wire import make_client_error

URL = "https://dynamodb.invalid"
LOST = [
    ConnectionClosedError(endpoint_url=URL),
    ReadTimeoutError(endpoint_url=URL),
    make_client_error("InternalServerError", 500),
]
NOT_WRITTEN = [EndpointConnectionError(endpoint_url=URL), make_client_error("ThrottlingException", 400)]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "sleep", lambda _: None)


def answers(*failures: Exception) -> Callable[[], Any]:
    """A write that fails so, and goes on failing as it did last."""
    left = list(failures)

    def write() -> Any:
        raise left.pop(0) if len(left) > 1 else left[0]

    return write


@pytest.mark.parametrize("lost", LOST, ids=lambda failure: type(failure).__name__)
@pytest.mark.parametrize("later", NOT_WRITTEN, ids=lambda failure: type(failure).__name__)
def test_a_lost_answer_leaves_the_outcome_unknown_whatever_comes_later(lost: Exception, later: Exception) -> None:
    with pytest.raises(OutcomeUnknownError):
        repeat_until_answered(answers(lost, later))


@pytest.mark.parametrize("failure", NOT_WRITTEN, ids=lambda failure: type(failure).__name__)
def test_a_write_that_never_arrived_changed_nothing(failure: Exception) -> None:
    with pytest.raises(UnavailableError):
        repeat_until_answered(answers(failure))


def test_the_unknown_outcome_is_of_the_callers_kind() -> None:
    with pytest.raises(RepeatableOutcomeUnknownError):
        repeat_until_answered(answers(LOST[0]), unknown=RepeatableOutcomeUnknownError)


def test_what_is_refused_is_not_repeated() -> None:
    with pytest.raises(ClientError, match="ValidationException"):
        repeat_until_answered(answers(make_client_error("ValidationException", 400), AssertionError("repeated")))


@pytest.mark.parametrize("lost", LOST, ids=lambda failure: type(failure).__name__)
def test_what_may_be_written_is_not_sent_again(lost: Exception) -> None:
    with pytest.raises(WriteUnclearError) as unclear:
        repeat_if_unwritten(answers(NOT_WRITTEN[0], lost, AssertionError("repeated")))

    assert unclear.value.__cause__ is lost


@pytest.mark.parametrize("failure", NOT_WRITTEN, ids=lambda failure: type(failure).__name__)
def test_what_cannot_be_written_is_sent_again_within_a_bound(failure: Exception) -> None:
    with pytest.raises(UnavailableError):
        repeat_if_unwritten(answers(failure, failure, AssertionError("one try too many")), tries=2)


def test_what_dynamodb_refuses_is_not_sent_again() -> None:
    with pytest.raises(ClientError, match="ValidationException"):
        repeat_if_unwritten(answers(make_client_error("ValidationException", 400), AssertionError("repeated")))


def test_a_decision_is_made_again_until_its_write_holds() -> None:
    results = iter([None, None, "written", "never asked"])

    assert decide_until_written(lambda: next(results), tries=5, gives_up=UnavailableError("busy")) == "written"
    assert next(results) == "never asked"


def test_a_decision_that_others_keep_overtaking_is_given_up() -> None:
    tries: list[int] = []

    with pytest.raises(UnavailableError, match="busy"):
        decide_until_written(lambda: tries.append(1), tries=5, gives_up=UnavailableError("busy"))
    assert len(tries) == 5
