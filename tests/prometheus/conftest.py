"""A deployed stack with its monitor, which brings the meter its lines, and a Prometheus that scrapes it."""

from collections.abc import Iterator
from typing import Any

import pytest

from leaseway_local.engine.paths import Home
from prometheus.prometheus_server import Prometheus, prometheus_on
from support.deployed_stacks import DeployedStack
from support.monitored_stack import MonitoredStack


@pytest.fixture(scope="session")
def scraped(tmp_path_factory: Any) -> Iterator[DeployedStack]:
    """The stack, as `leaseway up` leaves it."""
    watched = MonitoredStack(Home(tmp_path_factory.mktemp("watched")), LogFormat="json")
    yield watched.stack
    watched.stop()


@pytest.fixture(scope="session")
def prometheus(scraped: DeployedStack, tmp_path_factory: Any) -> Iterator[Prometheus]:
    """A Prometheus that has scraped it once."""
    with prometheus_on(scraped, tmp_path_factory.mktemp("prometheus")) as running:
        yield running
