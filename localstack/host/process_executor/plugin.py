"""Registers the executor with LocalStack under the name `local`."""

from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin


class ProcessExecutorPlugin(RuntimeExecutorPlugin):
    """Chosen by LAMBDA_RUNTIME_EXECUTOR=local."""

    name = "local"

    def load(self, *args: object, **kwargs: object) -> type:
        """The executor, imported no earlier than LocalStack's own modules allow."""
        from process_executor.executor import ProcessExecutor

        return ProcessExecutor
