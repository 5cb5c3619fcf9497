"""Which engine the local target is: the one that `leaseway up` starts, or a LocalStack that runs already."""

import os
from enum import Enum

from leaseway_local.connection.clients import Target
from leaseway_local.errors import LocalCloudError

VARIABLE = "LEASEWAY_ENGINE"


class EngineName(str, Enum):  # noqa: UP042 - typer shows the members' values
    """What serves AWS on this machine."""

    MINISTACK = "ministack"
    """Embedded: `leaseway` starts and stops it."""
    LOCALSTACK = "localstack"
    """A LocalStack, or a compatible engine, that runs at LOCALSTACK_HOST and is managed elsewhere."""


def read_choice() -> EngineName:
    """The engine that --engine or LEASEWAY_ENGINE selects; MiniStack by default.

    Raises:
        LocalCloudError: the variable names no engine.
    """
    name = os.environ.get(VARIABLE) or EngineName.MINISTACK.value
    try:
        return EngineName(name)
    except ValueError:
        known = " or ".join(engine.value for engine in EngineName)
        raise LocalCloudError(f"{VARIABLE} is {name!r}, which is no engine.", f"Set it to {known}.") from None


def choose(name: EngineName) -> None:
    """Select the engine for this process and the processes it starts."""
    os.environ[VARIABLE] = name.value


def resolve_target(target: Target) -> Target:
    """Replace the local target by LocalStack if that is the selected engine."""
    return Target.LOCALSTACK if target is Target.LOCAL and uses_external_engine() else target


def uses_external_engine() -> bool:
    """Whether the selected engine is started and stopped by something other than `leaseway`."""
    return read_choice() is EngineName.LOCALSTACK
