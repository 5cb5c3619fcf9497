"""One execution environment as a child process: started, handed events, ended. Knows nothing of LocalStack."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import IO, Any, cast

_CHILD = Path(__file__).with_name("child.py")
_CHUNK = 65_536


class ChildEndedError(Exception):
    """The process ended without an answer; carries what it had printed."""


class TimeIsUpError(Exception):
    """No answer within the function's timeout; carries what the process had printed until then."""


@dataclass(frozen=True)
class Program:
    """What an environment runs. `paths` are the folders of code, the function's own first."""

    python: str
    handler: str
    paths: Sequence[str]
    variables: Mapping[str, str]


@dataclass(frozen=True)
class Event:
    """One invocation. `seconds` is the function's timeout."""

    request_id: str
    arn: str
    payload: str
    trace: str
    seconds: float


@dataclass(frozen=True)
class Answer:
    """The outcome of an event. `document` is the handler's result as JSON, or Lambda's error document."""

    document: bytes
    failed: bool
    logs: str
    """What the function printed during the event, between Lambda's own START and REPORT lines."""


class Environment:
    """One environment. A child that died or ran out of time is replaced when the next event comes, as on Lambda."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._child: _Child | None = None
        self._printed_at_start = ""
        self._turn = Lock()

    def start(self, seconds: float) -> dict[str, Any] | None:
        """Start the child and load the handler. Returns None, or the error document of an import that failed.

        Raises:
            ChildEndedError, TimeIsUpError: it did neither.
        """
        self._child = _Child(self._program)
        reply, self._printed_at_start = self._child.reply(seconds)
        failure: dict[str, Any] | None = reply.get("failed")
        return failure

    def invoke(self, event: Event) -> Answer:
        """Hand over an event and wait for its outcome; a child that takes too long is killed."""
        began = time.monotonic()
        with self._turn:
            document, failed, printed = self._outcome(event)
        milliseconds = (time.monotonic() - began) * 1000
        printed, self._printed_at_start = self._printed_at_start + printed, ""
        name = f"RequestId: {event.request_id}"
        frame = f"START {name} Version: $LATEST\n", f"END {name}\nREPORT {name}\tDuration: {milliseconds:.2f} ms\n"
        return Answer(document.encode(), failed, printed.join(frame))

    def stop(self) -> None:
        """End the child and everything it started; an event in progress ends with an error."""
        if child := self._child:
            child.kill()
        with self._turn:
            self._forget()

    def _outcome(self, event: Event) -> tuple[str, bool, str]:
        try:
            if self._child is None and (failure := self.start(event.seconds)):
                self._forget()
                return json.dumps(failure), True, ""
            child = cast("_Child", self._child)
            child.send(event)
            reply, printed = child.reply(event.seconds)
        except (ChildEndedError, TimeIsUpError) as problem:
            self._forget()
            error = _died(event) if isinstance(problem, ChildEndedError) else _timed_out(event)
            return json.dumps(error), True, f"{problem}{error['errorMessage']}\n"
        return (json.dumps(reply["failed"]), True, printed) if "failed" in reply else (reply["result"], False, printed)

    def _forget(self) -> None:
        child, self._child = self._child, None
        if child:
            child.kill()
            child.close()


class _Child:
    """A running `child.py` and the three pipes to it."""

    def __init__(self, program: Program) -> None:
        output, printing = os.pipe()
        replies, replying = os.pipe()
        try:
            self._process = subprocess.Popen(
                [program.python, "-ISu", str(_CHILD), str(replying), program.handler, *program.paths],
                stdin=subprocess.PIPE,
                stdout=printing,
                stderr=printing,
                pass_fds=(replying,),
                env=dict(program.variables),
                cwd=program.paths[0],
                start_new_session=True,  # its own children end with it
            )
        finally:
            os.close(printing)
            os.close(replying)
        self._requests = cast("IO[bytes]", self._process.stdin)
        self._output, self._replies = output, replies
        for pipe in (output, replies):
            os.set_blocking(pipe, False)

    def send(self, event: Event) -> None:
        """Write a request; the child reads at once, whatever it does."""
        request = {"id": event.request_id, "arn": event.arn, "payload": event.payload, "trace": event.trace}
        try:
            self._requests.write(json.dumps(request | {"seconds": event.seconds}).encode() + b"\n")
            self._requests.flush()
        except OSError:
            raise ChildEndedError(self._rest(b"")) from None

    def reply(self, seconds: float) -> tuple[dict[str, Any], str]:
        """The next reply, and what was printed before it."""
        ends, reply, printed = time.monotonic() + seconds, b"", b""
        with selectors.DefaultSelector() as selector:
            for pipe in (self._output, self._replies):
                selector.register(pipe, selectors.EVENT_READ)
            while not reply.endswith(b"\n"):
                ready = [key.fileobj for key, _ in selector.select(max(0, ends - time.monotonic()))]
                if not ready and time.monotonic() >= ends:
                    raise TimeIsUpError(self._rest(printed))
                if self._replies in ready:
                    if not (chunk := os.read(self._replies, _CHUNK)):
                        raise ChildEndedError(self._rest(printed))
                    reply += chunk
                elif self._output in ready:
                    if not (chunk := os.read(self._output, _CHUNK)):
                        selector.unregister(self._output)  # closed by the function: nothing more will come
                    printed += chunk
        return json.loads(reply), self._rest(printed)

    def kill(self) -> None:
        """End the process and its children; what it printed can still be read."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let go of a killed process."""
        self._process.wait()
        with contextlib.suppress(OSError):
            self._requests.close()
        for pipe in (self._output, self._replies):
            os.close(pipe)

    def _rest(self, printed: bytes) -> str:
        """`printed` and what lies in the pipe: all that the child wrote before its reply is there by now."""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._output, _CHUNK):
                printed += chunk
        return printed.decode(errors="replace")


def _died(event: Event) -> dict[str, str]:
    message = f"RequestId: {event.request_id} Error: Runtime exited without providing a reason"
    return {"errorType": "Runtime.ExitError", "errorMessage": message}


def _timed_out(event: Event) -> dict[str, str]:
    message = f"RequestId: {event.request_id} Error: Task timed out after {event.seconds:.2f} seconds"
    return {"errorType": "Sandbox.Timedout", "errorMessage": message}
