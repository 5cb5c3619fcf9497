"""`leaseway up`, `status`, `logs`, `restart` and `down`, as a person types them, on a cloud in a folder of its own."""

import json
import os
import signal

import pytest
from typer.testing import CliRunner

from leaseway_local import places
from leaseway_local.cli import app
from leaseway_local.engine import Engine
from leaseway_local.processes import free_port, port_is_free, wait_until


@pytest.fixture(scope="module")
def leaseway(tmp_path_factory):
    """Runs a command on a cloud that nobody else uses; whatever a test leaves behind is stopped at the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places, "ROOT", tmp_path_factory.mktemp("project"))
        patch.setenv("LEASEWAY_PORT", str(free_port()))
        yield lambda *arguments: CliRunner().invoke(app, list(arguments))
        Engine(places.default_home()).stop()


@pytest.fixture
def up(leaseway):
    """The outputs of a cloud that is up."""
    started = leaseway("up", "--json")
    assert started.exit_code == 0, started.output
    return json.loads(started.stdout)


def test_a_second_up_builds_and_deploys_nothing(leaseway, up):
    again = leaseway("up", "--brief")

    assert again.exit_code == 0
    assert "nothing to build; the stack is up to date" in again.stderr


def test_status_tells_what_died_and_up_revives_it(leaseway, up):
    assert leaseway("status").exit_code == 0
    pid = Engine(places.default_home()).running().pid
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: Engine(places.default_home()).running() is None, 10)

    parts = json.loads(leaseway("status", "--json").stdout)
    assert (parts["well"], parts["parts"][0]["state"]) == (False, "died")
    assert leaseway("up").exit_code == 0
    assert leaseway("status").exit_code == 0


def test_logs_show_what_a_function_said(leaseway, up):
    leaseway("balance", "show", "1")

    assert wait_until(lambda: "/api/users/{userId}/balance" in leaseway("logs", "api").stdout, 20, every=0.5)


def test_restart_keeps_accounts_and_down_leaves_nothing_running(leaseway, up):
    leaseway("balance", "update", "1", "-1")
    before = json.loads(leaseway("balance", "show", "1", "--json").stdout)

    assert leaseway("restart").exit_code == 0
    assert json.loads(leaseway("balance", "show", "1", "--json").stdout) == before

    assert leaseway("down").exit_code == 0
    assert Engine(places.default_home()).functions() == []
    assert port_is_free(int(os.environ["LEASEWAY_PORT"]))


def test_purge_removes_the_data_too(leaseway, up):
    leaseway("balance", "update", "1", "-1")

    assert leaseway("down", "--purge").exit_code == 0

    assert leaseway("up").exit_code == 0
    assert json.loads(leaseway("balance", "show", "1", "--json").stdout)["balance"] == 10_000


def test_a_command_on_a_cloud_that_is_down_says_what_to_do(leaseway, monkeypatch, capsys):
    from leaseway_local import cli

    leaseway("down")
    monkeypatch.setattr("sys.argv", ["leaseway", "balance", "show", "1"])

    with pytest.raises(SystemExit) as exit_with:
        cli.main()

    assert exit_with.value.code == 1
    assert "leaseway up" in capsys.readouterr().err
