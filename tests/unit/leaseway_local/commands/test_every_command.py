"""Every command of the parser against odd arguments, answers and files: each ends with one of the documented codes."""

import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from leaseway_local.answers import JobAnswer
from leaseway_local.connection import ledger_check
from support.answer_shapes import HOSTILE, corrupt_answers, valid_answers
from support.command_line import run_command
from support.documented_answers import sample_answer
from support.fuzz import count_examples
from support.quiet_machine import ARGUMENTS, COMMANDS, example
from support.stub_deployment import Answer, ApiRequest, StubDeployment

CODES = {0, 1, 2, 130}
BAD_BODIES = (b"", b"<html>", b"null", b"[]", b"1e999", b'{"id": 1', b"\xff\xfe", b"{}", b'"x"', b"\xef\xbb\xbf{}")
BAD_AWS_BODIES = (
    b"",
    b"<html>",
    b"{}",
    b"null",
    b"[]",
    b"5",
    b'{"a": 1',
    b"\xff",
    b"<a><b/></a>",
    b'{"VersionId": 5, "SecretString": {}, "Versions": [null], "events": [5], "Attributes": [], "State": null}',
    b'{"Versions": [{"VersionStages": ["AWSCURRENT"], "CreatedDate": "soon"}], "Attributes": {}, "Environment": 5}',
    b'{"Versions": [{"VersionStages": ["AWSCURRENT"]}, {}], "Attributes": {"ApproximateNumberOfMessages": 5}}',
    b'{"events": [{"message": "x"}], "EventSourceMappings": [{}], "Environment": {"Variables": {"a": 5}}}',
    b'{"__type": 5, "message": {}}',
)
fixed_texts = st.sampled_from(
    [
        *("", ".", "..", "a/b", HOSTILE[:-1], "\udcff", "[/]", "a" * 20_000, "A="),
        *(
            "-1",
            "1",
            "-0",
            "9" * 400,
            "nan",
            "1e999",
            "1e308",
            "0x10",
            "1_000",
            "²",
            "2026-02-04T15:30:00Z",
            "127.0.0.1:1",
            "a..b:1",
        ),
        *('{"a": 1}', '{"a": 1e999}', "\ufeff{}", '{"a":' * 980 + "1" + "}" * 980),
    ]
)
# An argument has no NUL, and of the surrogates those alone that stand for bytes.
random_texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
odd_texts = fixed_texts | random_texts
# A failure is reported as it was found: to shrink one takes minutes.
options = settings(
    max_examples=count_examples(6),
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def answer_rightly(data: st.DataObject, request: ApiRequest) -> Answer:
    shape = JobAnswer if request.method == "DELETE" else request.shape
    return Answer.of(data.draw(valid_answers(shape)))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@given(data=st.data())
@options
def test_right_answers_with_hostile_texts_and_nulls(surroundings: Path, words: tuple[str, ...], data: Any) -> None:
    """Every field that may be null is null at times, and every text acts on a terminal at times."""
    deployment = StubDeployment(lambda request: answer_rightly(data, request))
    deployment.overrides["POST invocations"] = lambda: Answer.of(data.draw(right_reports))
    deployment.overrides["FilterLogEvents"] = lambda: Answer.of(data.draw(log_events))
    with example(deployment, surroundings / "home"):
        end = run_command(*words, *ARGUMENTS.get(words, ()), stdin="y\n")
    assert end.code in CODES, end
    assert "has the field" not in end.err


# They act on the machine or on AWS alone.
WITHOUT_THE_API = frozenset(
    {
        ("api-local",),
        ("deploy",),
        ("down",),
        ("ledger", "export"),
        ("ledger", "repair"),
        ("ledger", "verify"),
        ("login",),
        ("logs",),
        ("monitor",),
        ("node",),
        ("outputs",),
        ("restart",),
        ("rotate-secret",),
        ("status",),
        ("token",),
        ("up",),
        ("users", "break-glass"),
    }
)


@pytest.mark.parametrize("words", sorted(COMMANDS.keys() - WITHOUT_THE_API), ids=" ".join)
def test_the_stub_lets_a_command_reach_the_api(surroundings: Path, words: tuple[str, ...]) -> None:
    deployment = StubDeployment(lambda _: Answer.of({}))
    with example(deployment, surroundings / "home"):
        run_command(*words, *ARGUMENTS.get(words, ()), stdin="y\n")
    assert deployment.requests


REPORTS = (ledger_check.VerificationReport, ledger_check.RepairReport, ledger_check.ExportReport)
right_reports = st.tuples(*map(valid_answers, REPORTS)).map(lambda reports: reports[0] | reports[1] | reports[2])
log_events = st.fixed_dictionaries(
    {
        "events": st.lists(
            st.fixed_dictionaries(
                {
                    "logStreamName": st.just("s"),
                    "timestamp": st.sampled_from([0, 1_700_000_000_000, 2**62, -(2**62)]),
                    "message": st.sampled_from([HOSTILE, "", '{"_aws":1}']),
                }
            ),
            max_size=2,
        )
    }
)


@st.composite
def bad_answers(draw: st.DrawFn, shape: Any) -> Answer:
    status = draw(st.sampled_from([200, 200, 200, 400, 404, 409, 500]))
    if draw(st.booleans()):
        return Answer(status, draw(st.sampled_from(BAD_BODIES)))
    return Answer.of(draw(corrupt_answers(shape)), status)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@given(data=st.data())
@options
def test_wrong_answers(surroundings: Path, words: tuple[str, ...], data: Any) -> None:
    deployment = StubDeployment(lambda request: data.draw(bad_answers(request.shape)))
    bad_actions = data.draw(st.sets(st.sampled_from(AWS_ACTIONS), max_size=2))
    deployment.overrides = {action: lambda: data.draw(bad_aws_answers) for action in bad_actions}
    deployment.overrides.setdefault(
        "POST invocations", lambda: Answer.of(data.draw(st.one_of(*map(corrupt_answers, REPORTS))))
    )
    with example(deployment, surroundings / "home"):
        end = run_command(*words, *ARGUMENTS.get(words, ()), stdin="y\n")
    assert end.code in CODES, end


bad_aws_answers = st.builds(Answer, st.sampled_from([200, 400]), st.sampled_from(BAD_AWS_BODIES))
AWS_ACTIONS = (
    "DescribeStacks",
    "GetSecretValue",
    "ListSecretVersionIds",
    "PutSecretValue",
    "FilterLogEvents",
    "GetQueueAttributes",
    "GET configuration",
    "GET event-source-mappings",
    "GET answers",
    "GET gatewayresponses",
    "GetCallerIdentity",
    "DescribeStackResources",
    "UpdateStack",
    "POST deployments",
    "POST invocations",
    "Token",
)


def test_every_action_of_aws_is_answered_wrongly_at_times(surroundings: Path) -> None:
    actions: set[str] = set()
    for words in COMMANDS:
        deployment = StubDeployment(lambda request: Answer.of(sample_answer(request.method, request.path)))
        with example(deployment, surroundings / "home"):
            run_command(*words, *ARGUMENTS.get(words, ()), stdin="y\n")
        actions |= {action for action in deployment.actions if not action.startswith(("HEAD", "PUT", "DELETE"))}
    assert actions == set(AWS_ACTIONS)


@st.composite
def odd_arguments(draw: st.DrawFn, command: Any) -> list[str]:
    """Values for the command's own options and arguments, and some that it does not have."""
    arguments: list[str] = []
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            arguments += draw(st.lists(odd_texts, min_size=int(parameter.required), max_size=1))
        elif parameter.name == "target":
            arguments += ["--target", draw(st.sampled_from(["localstack", "aws", "nowhere"]))]
        elif parameter.name != "help" and draw(st.booleans()):
            flag = draw(st.sampled_from(parameter.opts))
            arguments += [flag] if parameter.is_flag else [flag, draw(odd_texts)]
    return [*arguments, *draw(st.lists(odd_texts, max_size=1))]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@given(data=st.data())
@options
def test_odd_arguments(surroundings: Path, words: tuple[str, ...], data: Any) -> None:
    deployment = StubDeployment(lambda request: answer_rightly(data, request))
    arguments = data.draw(odd_arguments(COMMANDS[words]))
    with example(deployment, surroundings / "home"):
        end = run_command(*words, *arguments)
    assert end.code in CODES, end


SETTINGS = ("LEASEWAY_PORT", "LEASEWAY_ENGINE", "LEASEWAY_PASSWORD", "LEASEWAY_SAMPLE_SECONDS", "LOCALSTACK_HOST")
# They belong to Python, to rich and to the SDK, and every process of a user may have them.
FOREIGN_SETTINGS = ("COLUMNS", "LINES", "TERM", "NO_COLOR", "TZ", "NO_PROXY", "http_proxy", "AWS_REGION")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@given(data=st.data())
@options
def test_odd_settings(surroundings: Path, words: tuple[str, ...], data: Any) -> None:
    deployment = StubDeployment(lambda request: answer_rightly(data, request))
    settings = data.draw(st.dictionaries(st.sampled_from([*SETTINGS, *FOREIGN_SETTINGS]), odd_texts, max_size=3))
    home = f"{surroundings}/home/{data.draw(odd_texts)}" if data.draw(st.booleans()) else f"{surroundings}/home"
    with example(deployment, surroundings / "home"), patch.dict(os.environ, settings | {"LEASEWAY_HOME": home}):
        end = run_command(*words, *ARGUMENTS.get(words, ()), stdin="y\n")
    assert end.code in CODES, end
