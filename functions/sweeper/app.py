"""Handler of the sweeper function: a schedule calls it every minute."""

from leaseway import coldstart

# isort: split
from typing import Any

import msgspec

from leaseway.jobs.sweep import sweep
from leaseway.logs import log


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Sweep once; answers the report, so that whoever invokes it by hand sees what was done."""
    report: dict[str, Any] = msgspec.to_builtins(sweep())
    log.info("swept", extra={"action": "sweep", **report})
    return report


coldstart.loaded()
