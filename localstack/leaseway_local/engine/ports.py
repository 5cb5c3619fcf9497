"""Ports of a local cloud: the engine's, and its neighbours for the dashboard and the demo."""

import os
import re

from leaseway_local.errors import LocalCloudError

DEFAULT_PORT = 4566

_LAST_PORT = 65_535


def configured_port() -> int:
    """The engine's port: LEASEWAY_PORT, or 4566.

    Raises:
        LocalCloudError: LEASEWAY_PORT is not a port.
    """
    setting = os.environ.get("LEASEWAY_PORT", "").strip() or str(DEFAULT_PORT)
    if not re.fullmatch("[0-9]{1,5}", setting) or not 1 <= int(setting) <= _LAST_PORT:
        raise LocalCloudError(f"LEASEWAY_PORT is {setting!r}, which is not a port.", "Set it to a number up to 65535.")
    return int(setting)


def demo_host(engine_port: int) -> str:
    """`host:port` of the demo's web server: one above the engine's port."""
    return f"127.0.0.1:{engine_port + 1 if engine_port < _LAST_PORT else engine_port - 1}"


def dashboard_port(engine_port: int) -> int:
    """The dashboard's port: two above the engine's."""
    return engine_port + 2 if engine_port < _LAST_PORT - 1 else engine_port - 2
