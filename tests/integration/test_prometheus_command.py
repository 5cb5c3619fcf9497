"""`leaseway prometheus` against the deployed stack: what it prints lets a Prometheus in."""

import httpx
import pytest
import yaml
from typer.testing import CliRunner

from leaseway_local import cli
from leaseway_local.commands import api_access
from leaseway_local.connection.api_client import ApiClient
from support.deployed_stacks import DeployedStack


def test_the_configuration_that_it_prints_lets_prometheus_in(
    stack: DeployedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given the configuration that an Admin asks for
    monkeypatch.setattr(api_access, "open_api", lambda target: ApiClient(stack.outputs.api_url, auth=stack.admin))
    printed = CliRunner().invoke(cli.app, ["prometheus"])
    assert printed.exit_code == 0, printed.output
    (job,) = yaml.safe_load(printed.stdout)["scrape_configs"]
    # When a token is asked for as Prometheus does
    grant = job["oauth2"]
    form = grant["endpoint_params"] | {name: grant[name] for name in ("client_id", "client_secret")}
    token = httpx.post(grant["token_url"], data=form, timeout=60).json()["access_token"]
    # Then the page is there for it
    (target,) = job["static_configs"][0]["targets"]
    url = f"{job['scheme']}://{target}{job['metrics_path']}"
    page = httpx.get(url, headers={"authorization": f"Bearer {token}"}, timeout=60)
    assert (page.status_code, page.headers["content-type"].partition(";")[0]) == (200, "text/plain")
    # And nothing that is an Admin's
    admins_page = url.replace("/metrics", "/api/v1/dead-letters")
    assert httpx.get(admins_page, headers={"authorization": f"Bearer {token}"}, timeout=60).status_code == 403
