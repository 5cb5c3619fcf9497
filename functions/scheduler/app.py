"""Handler of the scheduler function: a schedule calls it every minute, and any number of them may run at once."""

from typing import Any

import msgspec

from leaseway.logs import log
from leaseway.tasks.tick import tick


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Settle what is due; answers the report, so that whoever invokes it by hand sees what was done."""
    report: dict[str, Any] = msgspec.to_builtins(tick())
    log.info("ticked", extra={"action": "tick", **report})
    return report
