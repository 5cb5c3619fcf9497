"""Which engine the local target is: the one that `leaseway up` starts, or a LocalStack that runs already."""

import os
from enum import Enum

from leaseway_local.connection.clients import Target
from leaseway_local.errors import LocalCloudError

VARIABLE = "LEASEWAY_ENGINE"


class EngineName(str, Enum):  # noqa: UP042 - typer shows the members' values
    """What serves AWS on this machine."""

    MINISTACK = "ministack"
    """Embedded: started, watched and stopped by `leaseway`."""
    LOCALSTACK = "localstack"
    """A LocalStack, or another engine of its kind, that somebody else runs at LOCALSTACK_HOST."""


def chosen() -> EngineName:
    """The engine of this process: what --engine or LEASEWAY_ENGINE says, MiniStack where neither does.

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
    """Make it the engine of this process and of those that it starts."""
    os.environ[VARIABLE] = name.value


def serving(target: Target) -> Target:
    """Where a command really works: on LocalStack, where that is the chosen engine of the local target."""
    return Target.LOCALSTACK if target is Target.LOCAL and elsewhere() else target


def elsewhere() -> bool:
    """Whether the chosen engine is somebody else's to start and to stop."""
    return chosen() is EngineName.LOCALSTACK
