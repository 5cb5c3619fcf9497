"""`--engine` and LEASEWAY_ENGINE: what the target `local` is."""

from typing import Never, Self

import pytest
from typer.testing import CliRunner

from leaseway_local import cli
from leaseway_local.commands import api_access, cloud
from leaseway_local.connection import engine_choice
from leaseway_local.connection.clients import Target
from leaseway_local.connection.engine_choice import EngineName
from leaseway_local.errors import LocalCloudError


@pytest.fixture(autouse=True)
def _reset_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command sets the variable for what it starts; here that ends with the test."""
    monkeypatch.setenv(engine_choice.VARIABLE, "")


@pytest.fixture
def target_log(monkeypatch: pytest.MonkeyPatch) -> list[Target]:
    """The targets that commands on data ask for."""
    targets = []

    def refuse(target: Target) -> Never:
        targets.append(target)
        raise LocalCloudError("nothing runs here")

    monkeypatch.setattr(api_access, "open_api", refuse)
    return targets


@pytest.mark.parametrize(
    ("arguments", "target"),
    [
        (["jobs", "get", "1"], Target.LOCAL),
        (["jobs", "get", "1", "--engine", "ministack"], Target.LOCAL),
        (["jobs", "get", "1", "--engine", "localstack"], Target.LOCALSTACK),
        (["jobs", "--engine=localstack", "get", "1"], Target.LOCALSTACK),
        (["--engine", "localstack", "jobs", "get", "1"], Target.LOCALSTACK),
        (["jobs", "get", "1", "--engine", "localstack", "--target", "aws"], Target.AWS),
        (["jobs", "get", "1", "--target", "localstack"], Target.LOCALSTACK),
    ],
)
def test_a_command_works_on_the_chosen_engine(target_log: list[Target], arguments: list[str], target: Target) -> None:
    CliRunner().invoke(cli.app, arguments)

    assert target_log == [target]


def test_the_variable_chooses_too_and_the_option_goes_before_it(
    target_log: list[Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(engine_choice.VARIABLE, "localstack")

    CliRunner().invoke(cli.app, ["jobs", "get", "1"])
    CliRunner().invoke(cli.app, ["jobs", "get", "1", "--engine", "ministack"])

    assert target_log == [Target.LOCALSTACK, Target.LOCAL]


def test_an_engine_that_is_none_is_wrong_usage(target_log: list[Target]) -> None:
    assert CliRunner().invoke(cli.app, ["jobs", "get", "1", "--engine", "moon"]).exit_code == 2
    assert target_log == []


def test_a_variable_that_names_no_engine_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(engine_choice.VARIABLE, "moon")

    with pytest.raises(LocalCloudError, match="LEASEWAY_ENGINE is 'moon'"):
        engine_choice.read_choice()


@pytest.mark.parametrize("command", ["down", "restart"])
def test_a_localstack_is_not_stopped_from_here(command: str) -> None:
    outcome = CliRunner().invoke(cli.app, [command, "--engine", "localstack"])

    assert isinstance(outcome.exception, LocalCloudError)
    assert "a LocalStack that it did not start" in outcome.exception.what


def test_up_says_where_it_looked_for_a_localstack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALSTACK_HOST", "127.0.0.1:9")
    engine_choice.choose(EngineName.LOCALSTACK)
    monkeypatch.setattr(cloud, "Clients", _Unreachable)

    outcome = CliRunner().invoke(cli.app, ["up", "--engine", "localstack"])

    assert isinstance(outcome.exception, LocalCloudError)
    assert "no LocalStack answers at 127.0.0.1:9" in outcome.exception.what
    assert "compose.yaml" in outcome.exception.todo


class _Unreachable:
    host = "127.0.0.1:9"

    def __init__(self, _target: Target) -> None:
        pass

    def get(self, _service: str) -> Self:
        return self

    def get_caller_identity(self) -> Never:
        from botocore.exceptions import EndpointConnectionError

        raise EndpointConnectionError(endpoint_url=f"http://{self.host}")
