"""LocalStack's runtime executor whose environments are child processes."""

import json
import os
from typing import Any

from localstack import config  # type: ignore[attr-defined]
from localstack.services.lambda_.invocation.executor_endpoint import StatusErrorException
from localstack.services.lambda_.invocation.lambda_models import FunctionVersion, InvocationResult
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor

from process_executor.environment import Environment, Event, Program

PYTHON_VARIABLE = "PROCESS_EXECUTOR_PYTHON"
"""The interpreter that runs the functions."""

_ADDRESS = "127.0.0.1"
_KEPT_VARIABLES = ("LANG", "PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "TMPDIR")


class ProcessExecutor(RuntimeExecutor):
    """One execution environment of one version of a function."""

    def __init__(self, id: str, function_version: FunctionVersion) -> None:  # noqa: A002
        super().__init__(id, function_version)
        self._environment: Environment

    def start(self, env_vars: dict[str, str]) -> None:
        """Start the process and load the handler; LocalStack limits how long that may take."""
        self._environment = Environment(self._program(env_vars))
        failure = self._environment.start(config.LAMBDA_RUNTIME_ENVIRONMENT_TIMEOUT)
        if failure:
            raise StatusErrorException("the handler could not be loaded", payload=json.dumps(failure).encode())

    def stop(self) -> None:
        """End the process."""
        self._environment.stop()

    def invoke(self, payload: dict[str, str]) -> InvocationResult:
        """Hand over one event and wait."""
        event = Event(
            request_id=payload["invoke-id"],
            arn=payload["invoked-function-arn"],
            payload=payload["payload"],
            trace=payload["trace-id"],
            seconds=self.function_version.config.timeout,
        )
        answer = self._environment.invoke(event)
        return InvocationResult(event.request_id, answer.document, answer.failed, answer.logs)

    def get_address(self) -> str:
        """Where the environment is: on this machine."""
        return _ADDRESS

    def get_endpoint_from_executor(self) -> str:
        """Where the environment finds LocalStack."""
        return _ADDRESS

    def get_runtime_endpoint(self) -> str:
        """Return no endpoint: the environment communicates over pipes."""
        return ""

    def get_logs(self) -> str:
        """Return nothing: each answer carries its own log lines."""
        return ""

    @classmethod
    def prepare_version(cls, function_version: FunctionVersion) -> None:
        """Unpack the code and the layers."""
        for code in _archives(function_version):
            code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version: FunctionVersion) -> None:
        """Nothing to do: LocalStack removes what it unpacked."""

    def _program(self, env_vars: dict[str, str]) -> Program:
        task, *layers = [str(code.get_unzipped_code_location()) for code in _archives(self.function_version)]
        kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        return Program(
            python=os.environ[PYTHON_VARIABLE],
            handler=self.function_version.config.handler,
            paths=[task, *(f"{layer}/python" for layer in reversed(layers))],  # a later layer covers an earlier one
            variables=kept | {name: str(value) for name, value in env_vars.items()} | {"LAMBDA_TASK_ROOT": task},
        )


def _archives(version: FunctionVersion) -> list[Any]:
    return [version.config.code, *(layer.code for layer in version.config.layers)]
