"""Debian's Prometheus on 127.0.0.1 with a folder of its own, configured as `leaseway prometheus` says."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from leaseway_local.commands.prometheus import configuration
from leaseway_local.engine.processes import free_port
from support.deployed_stacks import PASSWORD, DeployedStack
from support.waiting import wait_until

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "scrape-with-prometheus.md"
SCRAPER = "prometheus"
SCRAPE_SECONDS = 5


def find_binary(name: str) -> str:
    """A program of Debian's package `prometheus`; a test that needs it fails where it is missing."""
    path = shutil.which(name)
    if path is None:
        pytest.fail(f"there is no {name}: `apt-get install --no-install-recommends prometheus`")
    return path


class Prometheus:
    """A Prometheus that runs."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get_data(self, path: str, **parameters: str) -> Any:
        """What its HTTP API answers."""
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=60)
        answer.raise_for_status()
        return answer.json()["data"]

    def query(self, expression: str, at: float | None = None) -> dict[tuple[tuple[str, str], ...], Any]:
        """An instant query: values, or for a range the samples, by labels."""
        moment = {} if at is None else {"time": str(at)}
        return {
            tuple(sorted(series["metric"].items())): series.get("values") or float(series["value"][1])
            for series in self.get_data("query", query=expression, **moment)["result"]
        }

    def value(self, expression: str, at: float | None = None) -> float | None:
        """The one value of an instant query; None where there is none."""
        values = list(self.query(expression, at).values())
        assert len(values) <= 1, values
        return values[0] if values else None

    def samples(self, selector: str, at: float) -> list[tuple[float, float]]:
        """Times and values of the one series of a range, such as `up[1m]`."""
        (series,) = self.query(selector, at).values()
        return [(float(moment), float(value)) for moment, value in series]

    def wait_for_value(self, expected: float | None, expression: str, seconds: float = 120) -> None:
        """Wait until an instant query has that value."""
        wait_until(
            lambda: self.value(expression) == expected,
            seconds=seconds,
            what=f"{expression} to be {expected} and not {self.value(expression)}",
            every=0.5,
        )


@contextmanager
def prometheus_on(stack: DeployedStack, folder: Path) -> Iterator[Prometheus]:
    """Start it, wait for its first scrape, and end it."""
    scraper(stack)
    settings = folder / "prometheus.yml"
    settings.write_text(yaml.safe_dump(settings_for(stack)))
    port = free_port()
    command = [
        find_binary("prometheus"),
        f"--config.file={settings}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        running = Prometheus(f"http://127.0.0.1:{port}")
        wait_until(lambda: ready(running, process, folder), seconds=60, what="Prometheus to be ready")
        running.wait_for_value(1, 'up{job="leaseway"}')
        yield running
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ready(running: Prometheus, process: subprocess.Popen[bytes], folder: Path) -> bool:
    """Whether it answers; fails where it ended."""
    assert process.poll() is None, (folder / "log").read_text()
    try:
        return httpx.get(f"{running.url}/-/ready", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def settings_for(stack: DeployedStack) -> dict[str, Any]:
    """What `leaseway prometheus` prints, with quicker scrapes; the how-to says the same."""
    printed = configuration(stack.outputs.api_url, SCRAPER, PASSWORD)
    (block,) = re.findall(r"```yaml\n(.+?)```", HOW_TO.read_text(), re.DOTALL)
    (documented,), (printed_job,) = yaml.safe_load(block)["scrape_configs"], printed["scrape_configs"]
    assert documented.keys() == printed_job.keys()
    assert documented["oauth2"].keys() == printed_job["oauth2"].keys()
    assert documented["oauth2"]["endpoint_params"].keys() == printed_job["oauth2"]["endpoint_params"].keys()
    interval = f"{SCRAPE_SECONDS}s"
    return printed | {"global": {"scrape_interval": interval, "scrape_timeout": interval}}


def scraper(stack: DeployedStack) -> None:
    """Make the user that may read the metrics."""
    stack.as_user(SCRAPER)
    answer = stack.api.request("PUT", f"/api/v1/users/{SCRAPER}/role", json={"role": "Worker"})
    assert answer.status_code == 200, answer.text


def wait_until_covered(running: Prometheus, selector: str, seconds: float) -> None:
    """Wait until samples of a series reach back so far."""

    def reaches_back() -> bool:
        now = time.time()
        samples = running.samples(f"{selector}[{seconds:.0f}s]", now)
        return samples[0][0] <= now - seconds + 2 * SCRAPE_SECONDS

    wait_until(reaches_back, seconds=seconds + 60, what=f"{seconds} s of {selector}", every=1)


def lint(page: str) -> list[str]:
    """What promtool finds wrong with a page."""
    done = subprocess.run(
        [find_binary("promtool"), "check", "metrics"], input=page, capture_output=True, text=True, check=False
    )
    return (done.stdout + done.stderr).splitlines()
