"""A deployed stack with its monitor, which brings the meter its lines, and a Prometheus that scrapes it."""

from collections.abc import Iterator
from typing import Any

import pytest

from leaseway_local.engine.paths import Home
from prometheus.prometheus_server import Prometheus, prometheus_on
from support.deployed_stacks import DeployedStack
from support.monitored_stack import MonitoredStack


@pytest.fixture(scope="session")
def meter_stack(tmp_path_factory: Any) -> Iterator[DeployedStack]:
    """The stack, as `leaseway up` leaves it."""
    monitored = MonitoredStack(Home(tmp_path_factory.mktemp("watched")), LogFormat="json")
    yield monitored.stack
    monitored.stop()


@pytest.fixture(scope="session")
def prometheus(meter_stack: DeployedStack, tmp_path_factory: Any) -> Iterator[Prometheus]:
    """A Prometheus that has scraped it once."""
    with prometheus_on(meter_stack, tmp_path_factory.mktemp("prometheus")) as running:
        yield running
