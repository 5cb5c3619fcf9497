"""Handler of the ledger-check function: a schedule verifies the ledger, and `leaseway ledger` asks for the rest.

An event names what to do: `{"do": "verify", "user_id": ...}` (everybody's without a user, which is also what the
schedule gets), `{"do": "repair", "user_id": ...}`, or `{"do": "export", "user_id": ..., "after": ...}`. A refusal is
answered as `{"error": {"code", "detail"}}`.
"""

from leaseway import coldstart

# isort: split
from typing import Any

import msgspec

from leaseway import metrics
from leaseway.errors import InvalidInputError, LeasewayError
from leaseway.ledger.export import export
from leaseway.ledger.repair import repair
from leaseway.ledger.verify import verify
from leaseway.logs import log


class Errand(msgspec.Struct):
    """What to do."""

    do: str = "verify"
    user_id: str | None = None
    after: dict[str, Any] | None = None


@metrics.flush_after("ledger-check")
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Do one errand and answer its report as JSON values."""
    errand = msgspec.convert(event, Errand)
    try:
        report: dict[str, Any] = msgspec.to_builtins(_done(errand))
    except LeasewayError as refusal:
        return {"error": {"code": refusal.code, "detail": refusal.detail}}
    return report


def _done(errand: Errand) -> Any:
    match errand:
        case Errand(do="verify"):
            return _verified(errand.user_id)
        case Errand(do="repair", user_id=str(user_id)):
            repaired = repair(user_id)
            log.warning("ledger repaired", extra={"action": "repair", "entries": [entry.name for entry in repaired]})
            return {"repaired": repaired}
        case Errand(do="export"):
            return export(errand.user_id, errand.after)
    raise InvalidInputError(f"cannot do {errand.do!r} so", field="do")


def _verified(user_id: str | None) -> dict[str, Any]:
    found = verify(user_id)
    facts: dict[str, Any] = msgspec.to_builtins(found)
    listed = facts.pop("listed")
    for difference in listed:
        log.error("ledger difference", extra={"action": "verify", **difference})
    log.info("ledger verified", extra={"action": "verify", "user_id": user_id, **facts})
    if user_id is None:
        metrics.note("LedgerDifferences", found.differences)
        metrics.note("LedgerAccountsBehind", found.behind)
        metrics.note("LedgerEntriesChecked", found.entries)
    return {**facts, "clean": found.clean, "listed": listed}


coldstart.loaded()
