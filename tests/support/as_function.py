"""The domain in the test's own process, with the environment of a deployed function: for counting its calls."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from leaseway import aws, cursors
from leaseway.dynamodb.table import Table
from leaseway.identity.keys import key_ring
from leaseway.settings import settings


@contextmanager
def act_as_function(stack: Any, function: str = "ApiFunction") -> Iterator[None]:
    """Give this process the environment of a deployed function while the block runs."""
    described = stack.client("lambda").get_function_configuration(FunctionName=stack.outputs[function])
    own = {
        "AWS_ENDPOINT_URL": stack.outputs.endpoint_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": stack.outputs.region,
    }
    with pytest.MonkeyPatch.context() as environment:
        for name, value in (described["Environment"]["Variables"] | own).items():
            environment.setenv(name, value)
        clear_caches()
        yield
    clear_caches()


def clear_caches() -> None:
    """Drop what the process caches: settings, clients, keys, and the connections that pynamodb's models keep."""
    settings.cache_clear()
    aws.forget()
    cursors.forget()
    key_ring.cache_clear()
    for model in Table.__subclasses__():
        model._connection = None
