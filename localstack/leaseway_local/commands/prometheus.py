"""`leaseway prometheus`: the configuration with which a Prometheus scrapes a deployment's `GET /metrics`."""

import secrets
from typing import Any
from urllib.parse import urlsplit

import yaml

from leaseway_local.commands.api_access import call_api
from leaseway_local.commands.options import TargetOption
from leaseway_local.connection.clients import Target
from leaseway_local.terminal.console import data, messages

SCRAPE_SECONDS = 15


def prometheus(target: TargetOption = Target.LOCAL) -> None:
    """Print a configuration with which Prometheus scrapes the deployment.

    Each call creates a user with the role Worker for it. The configuration is the only place that has its password.
    """
    with call_api(target) as api:
        username, password = f"prometheus-{secrets.token_hex(4)}", secrets.token_urlsafe(24)
        api.post("/api/v1/users", {"username": username, "password": password, "role": "Worker"})
        data.print(yaml.safe_dump(configuration(api.base_url, username, password), sort_keys=False), markup=False)
    messages.print(f"{username} is a new user with the role Worker")


def configuration(api_url: str, username: str, password: str) -> dict[str, Any]:
    """What Prometheus needs to scrape the API at that address; `typer` prints it as YAML."""
    api = urlsplit(api_url)
    grant = {"grant_type": "password", "username": username, "password": password}
    oauth2 = {
        "token_url": f"{api_url}/connect/token",
        "client_id": "prometheus",  # Prometheus needs one; the API ignores it
        "client_secret": "none",
        "endpoint_params": grant,  # overrides Prometheus' own grant
    }
    job = {
        "job_name": "leaseway",
        "scheme": api.scheme,
        "metrics_path": f"{api.path}/metrics",
        "static_configs": [{"targets": [api.netloc]}],
        "oauth2": oauth2,
    }
    return {"global": {"scrape_interval": f"{SCRAPE_SECONDS}s"}, "scrape_configs": [job]}
