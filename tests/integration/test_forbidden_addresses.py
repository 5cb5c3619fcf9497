"""HTTP_GET on the deployed stack against every way to name a private address: a server that counts gets no hit.

A name that changes its address between check and connect needs a resolver of the test's own: tests/unit does that.
"""

from collections.abc import Iterator

import pytest

from leaseway_local.connection.api_client import ApiProblem
from support.deployed_stacks import DeployedStack, StackFactory
from support.http_servers import CountingServer, run_counting_server
from support.waiting import wait_until


@pytest.fixture(scope="module")
def victim() -> Iterator[CountingServer]:
    """A server of this machine that no job may reach."""
    with run_counting_server() as counting:
        yield counting


@pytest.fixture(scope="module")
def door() -> Iterator[CountingServer]:
    """A server that jobs may reach, and that sends them on."""
    with run_counting_server() as counting:
        yield counting


@pytest.fixture(scope="module")
def fetching(make_stack: StackFactory, door: CountingServer) -> DeployedStack:
    return make_stack("fetching", HttpAllowedHosts=door.pair, SweeperEnabled=False)


def refusal_of(stack: DeployedStack, url: str) -> str:
    """Why the job was refused: at its creation, or by the worker that looked the name up."""
    try:
        job = stack.api.post("/api/v1/jobs", {"type": "HTTP_GET", "payload": {"url": url}, "max_attempts": 1})
    except ApiProblem as problem:
        return problem.code
    path = f"/api/v1/jobs/{job['id']}/result"
    wait_until(lambda: stack.api.request("GET", path).status_code == 200, seconds=60, what=f"the end of {url}")
    ended = stack.api.get(path)
    assert ended["status"] == "FAILED", ended
    return str(ended["error_message"])


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "0x7f000001", "017700000001", "2130706433", "127.1", "0",
        "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "localhost", "LOCALHOST.", "127.0.0.1.",
        "192.168.0.1", "172.16.0.1", "100.64.0.1", "[fd00::1]", "[fe80::1]", "user@127.0.0.1",
        "\uff11\uff12\uff17.0.0.1",
    ],
)  # fmt: skip
def test_a_private_address_is_refused_by_any_name(fetching: DeployedStack, victim: CountingServer, host: str) -> None:
    refusal = refusal_of(fetching, f"http://{host}:{victim.port}/")

    assert refusal in ("URL_REFUSED", "INVALID_INPUT") or "not a public address" in refusal
    assert victim.hits == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f000001", "[::1]"])
def test_a_redirect_to_a_private_address_is_refused(
    fetching: DeployedStack, victim: CountingServer, door: CountingServer, host: str
) -> None:
    url = door.redirect(f"/to/{host}", f"http://{host}:{victim.port}/")

    assert refusal_of(fetching, url)
    assert f"/to/{host}" in door.hits
    assert victim.hits == []
