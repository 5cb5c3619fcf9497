"""Lambda's execution environments as child processes, as a LocalStack without Docker gets them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from process_executor.environment import _CHILD as CHILD
from process_executor.environment import ChildEndedError, Environment, Event, Program, TimeIsUpError

HANDLERS = """
import json, os, sys, time
import only_in_the_layer

BEGUN = time.monotonic_ns()

def handler(event, context):
    what, argument = event.get("do"), event.get("with")
    if what == "tell":
        return {"pid": os.getpid(), "begun": BEGUN, "id": context.aws_request_id, "name": context.function_name,
                "left": context.get_remaining_time_in_millis(), "path": sys.path, "variables": dict(os.environ)}
    if what == "raise":
        raise ValueError("no luck")
    if what == "die":
        print("last words")
        os._exit(3)
    if what == "sleep":
        print("good night", flush=True)
        time.sleep(argument)
    if what == "print":
        print("x" * argument)
    if what == "return":
        return "y" * argument
    if what == "object":
        return object()
"""
VARIABLES = {
    "AWS_LAMBDA_FUNCTION_NAME": "told",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
    "AWS_LAMBDA_LOG_GROUP_NAME": "group",
    "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
}


@pytest.fixture
def program(tmp_path: Path) -> Program:
    task, layer = tmp_path / "task", tmp_path / "layer" / "python"
    for folder in (task, layer):
        folder.mkdir(parents=True)
    (task / "told.py").write_text(HANDLERS)
    (task / "broken.py").write_text("import nothing_of_that_name")
    (layer / "only_in_the_layer.py").write_text("")
    return Program(sys.executable, "told.handler", [str(task), str(layer)], VARIABLES)


@pytest.fixture
def environment(program: Program) -> Iterator[Environment]:
    executor = Environment(program)
    assert executor.start(30) is None
    yield executor
    executor.stop()


def event(do: str = "tell", argument: Any = None, *, seconds: float = 30.0) -> Event:
    payload = json.dumps({"do": do, "with": argument})
    return Event("request-1", "arn:aws:lambda:us-east-1:000000000000:function:told", payload, "Root=1", seconds)


def invoke(environment: Environment, **options: Any) -> Any:
    answer = environment.invoke(event(**options))
    assert not answer.failed, answer
    return json.loads(answer.document)


def test_a_handler_sees_its_event_its_context_and_its_own_variables_only(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")

    seen = invoke(environment)

    assert (seen["id"], seen["name"]) == ("request-1", "told")
    assert 0 < seen["left"] <= 30_000
    assert set(seen["variables"]) - set(VARIABLES) <= {"_X_AMZN_TRACE_ID", "LC_CTYPE"}
    assert not [path for path in seen["path"] if "site-packages" in path], "only the layers' packages are there"


def test_an_environment_is_warm_after_its_first_event(environment: Environment) -> None:
    assert invoke(environment)["begun"] == invoke(environment)["begun"]


def test_an_error_is_answered_with_its_type_and_message_and_the_environment_stays(environment: Environment) -> None:
    before = invoke(environment)["pid"]

    answer = environment.invoke(event("raise"))

    document = json.loads(answer.document)
    assert answer.failed
    assert (document["errorType"], document["errorMessage"]) == ("ValueError", "no luck")
    assert "ValueError: no luck" in answer.logs
    assert invoke(environment)["pid"] == before


def test_a_result_that_is_no_json_is_an_error(environment: Environment) -> None:
    answer = environment.invoke(event("object"))

    assert answer.failed
    assert json.loads(answer.document)["errorType"] == "TypeError"


def test_a_process_that_dies_is_an_error_and_the_next_event_gets_another(environment: Environment) -> None:
    before = invoke(environment)["pid"]

    answer = environment.invoke(event("die"))

    assert answer.failed
    assert json.loads(answer.document)["errorType"] == "Runtime.ExitError"
    assert "last words" in answer.logs
    assert invoke(environment)["pid"] != before


def test_a_function_that_takes_too_long_is_ended(environment: Environment) -> None:
    pid = invoke(environment)["pid"]

    answer = environment.invoke(event("sleep", 60, seconds=0.5))

    assert answer.failed
    assert json.loads(answer.document)["errorType"] == "Sandbox.Timedout"
    assert "good night" in answer.logs
    assert not os.path.exists(f"/proc/{pid}")


def test_what_was_printed_comes_with_the_answer_however_much_it_is(environment: Environment) -> None:
    answer = environment.invoke(event("print", 1_000_000))

    assert answer.logs.count("x") >= 1_000_000
    assert answer.logs.startswith("START RequestId: request-1")
    assert "REPORT RequestId: request-1" in answer.logs


def test_a_large_result_comes_whole(environment: Environment) -> None:
    assert len(invoke(environment, do="return", argument=5_000_000)) == 5_000_000


def test_a_handler_that_cannot_be_loaded_says_why(program: Program) -> None:
    broken = Environment(Program(program.python, "broken.handler", program.paths, program.variables))

    failure = broken.start(30)
    broken.stop()

    assert failure is not None
    assert failure["errorType"] == "ModuleNotFoundError"
    assert "nothing_of_that_name" in failure["errorMessage"]


def test_stopping_ends_a_function_at_work(environment: Environment) -> None:
    import threading

    answers = []
    at_work = threading.Thread(target=lambda: answers.append(environment.invoke(event("sleep", 60))))
    began = time.monotonic()
    at_work.start()
    environment.stop()
    at_work.join(30)

    assert time.monotonic() - began < 30
    assert [answer.failed for answer in answers] == [True]


def test_a_child_whose_parent_is_gone_ends_although_it_is_at_work(program: Program) -> None:
    reading, writing = os.pipe()
    child = subprocess.Popen(
        [program.python, "-IS", str(CHILD), str(writing), program.handler, *program.paths],
        stdin=subprocess.PIPE,
        pass_fds=(writing,),
        env=VARIABLES,
    )
    os.close(writing)
    assert b"ready" in os.read(reading, 100)
    request = {"id": "1", "arn": "a", "payload": '{"do": "sleep", "with": 60}', "trace": "", "seconds": 60}
    child.stdin.write(json.dumps(request).encode() + b"\n")

    child.stdin.close()

    assert child.wait(30) == 0
    os.close(reading)


@pytest.mark.parametrize(("seconds", "error"), [(0.0, TimeIsUpError), (30.0, ChildEndedError)])
def test_a_child_that_never_gets_ready_is_reported(
    program: Program, tmp_path: Path, seconds: float, error: type[Exception]
) -> None:
    (tmp_path / "task" / "told.py").write_text("import os\nos._exit(1)")
    never = Environment(program)

    with pytest.raises(error):
        never.start(seconds)

    never.stop()
