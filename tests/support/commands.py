"""The `leaseway` command line inside a test's own process."""

from collections.abc import Callable

from typer.testing import Result

RunCommand = Callable[..., Result]
"""Runs one command with its arguments, as a shell would."""
