"""The shapes of answers that commands read, beside the views that the API writes and the rules for a wrong one."""

import inspect
import types
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints, is_typeddict

import msgspec
import pytest

from api import account_views, job_views, task_views, user_views
from api.blueprints import control, dead_letters, overview, uploads
from leaseway_local import answers
from leaseway_local.answer_checks import UnexpectedAnswerError, check_answer, parse_answer, parse_time
from leaseway_local.connection.pages import CursorTrail

VIEWS: dict[Any, type[msgspec.Struct]] = {
    answers.AttemptAnswer: job_views.AttemptView,
    answers.JobAnswer: job_views.JobView,
    answers.JobPageAnswer: job_views.JobPageView,
    answers.ChangedJobAnswer: control.ChangedJob,
    answers.ChangedJobsAnswer: control.ChangedJobs,
    answers.ReplayAnswer: dead_letters.ReplayView,
    answers.RunAnswer: task_views.RunView,
    answers.TaskAnswer: task_views.TaskView,
    answers.TaskPageAnswer: task_views.TaskPageView,
    answers.HistoryEntryAnswer: task_views.HistoryEntryView,
    answers.HistoryPageAnswer: task_views.EntryPageView,
    answers.OverallFiguresAnswer: task_views.OverallView,
    answers.WorkerFiguresAnswer: task_views.WorkerFiguresView,
    answers.TaskSummaryAnswer: task_views.SummaryView,
    answers.OverviewAnswer: overview.OverviewView,
    answers.TypeCountsAnswer: overview.TypeCounts,
    answers.AccountAnswer: account_views.AccountView,
    answers.LedgerEntryAnswer: account_views.EntryView,
    answers.LedgerPageAnswer: account_views.LedgerView,
    answers.UserAnswer: user_views.UserView,
    answers.NewUserAnswer: user_views.NewUserView,
    answers.UserPageAnswer: user_views.UserPageView,
    answers.ResetAnswer: user_views.ResetView,
    answers.InvitationAnswer: user_views.InvitationView,
    answers.UploadAnswer: uploads.UploadView,
}
# A refusal, a started run and the counts are no views of their own.
WITHOUT_A_VIEW = {
    answers.RefusalAnswer,
    answers.StartedRunAnswer,
    answers.StatusCountsAnswer,
}


def is_nullable(hint: Any) -> bool:
    if get_origin(hint) is Annotated:
        return is_nullable(get_args(hint)[0])
    if get_origin(hint) in {Union, types.UnionType}:
        return any(is_nullable(each) for each in get_args(hint))
    return hint is type(None)


def test_every_shape_is_compared_with_a_view() -> None:
    shapes = {shape for _, shape in inspect.getmembers(answers, is_typeddict)}
    assert shapes == set(VIEWS) | WITHOUT_A_VIEW


@pytest.mark.parametrize("shape", VIEWS, ids=lambda shape: shape.__name__)
def test_a_shape_has_fields_of_the_view_and_takes_null_where_that_does(shape: Any) -> None:
    view = get_type_hints(VIEWS[shape], include_extras=True)
    for name, hint in get_type_hints(shape, include_extras=True).items():
        assert is_nullable(hint) == is_nullable(view[name]), name


@pytest.mark.parametrize(
    "document",
    [None, [], "x", 1, {}, {"worker": "w"}, {"worker": "w", "runs": 1, "mean_ms": None, "p95_ms": 10**400}],
)
def test_an_answer_of_another_shape_is_refused(document: Any) -> None:
    with pytest.raises(UnexpectedAnswerError, match="is not as expected"):
        check_answer(document, answers.WorkerFiguresAnswer)


def test_an_answer_keeps_the_fields_that_no_command_reads() -> None:
    document = {"username": "a", "role": "User", "created_at": "2026-02-03T00:00:00Z", "disabled": False, "new": [1]}
    assert check_answer(document, answers.UserAnswer) is document


@pytest.mark.parametrize("content", [b"", b"<html>", b'{"a":', b"\xff", b"[" * 100_000])
def test_an_answer_that_is_not_json_is_refused(content: bytes) -> None:
    with pytest.raises(UnexpectedAnswerError, match="the report is not JSON"):
        parse_answer(content, dict, of="the report")


@pytest.mark.parametrize("text", ["", "soon", "2026-02-30T00:00:00Z", "2026-02-03T00:00:00", "9999-12-31T23:59:59Z"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UnexpectedAnswerError, match="has a time"):
        parse_time(text)


@pytest.mark.parametrize(("start", "cursors"), [(None, "aa"), (None, "aba"), ("a", "a"), ("a", "ba"), (None, "abcdb")])
def test_a_repeated_cursor_is_refused(start: str | None, cursors: str) -> None:
    trail = CursorTrail(start)
    for cursor in cursors[:-1]:
        assert trail.follow(cursor) == cursor
    with pytest.raises(UnexpectedAnswerError, match="'cursor'"):
        trail.follow(cursors[-1])
