"""Handler of the ledger-check function: a schedule verifies the ledger, and `leaseway ledger` asks for the rest.

An event names what to do: `{"do": "verify", "user_id": ...}` (everybody's without a user, which is also what the
schedule gets), `{"do": "repair", "user_id": ...}`, or `{"do": "export", "user_id": ..., "after": ...}`. A refusal is
answered as `{"error": {"code", "detail"}}`.
"""

from leaseway import coldstart

with coldstart.loading():
    from typing import TYPE_CHECKING, Any

    import msgspec

    from leaseway import metrics
    from leaseway.errors import InvalidInputError, LeasewayError
    from leaseway.ledger.export import export
    from leaseway.ledger.repair import repair
    from leaseway.ledger.verify import verify
    from leaseway.logs import log

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


class Command(msgspec.Struct):
    """The event of an invocation."""

    do: str = "verify"
    user_id: str | None = None
    after: dict[str, Any] | None = None


@metrics.flush_after("ledger-check")
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Execute one command and return its report as JSON values."""
    command = msgspec.convert(event, Command)
    try:
        report: dict[str, Any] = msgspec.to_builtins(_execute(command))
    except LeasewayError as refusal:
        return {"error": {"code": refusal.code, "detail": refusal.detail}}
    return report


def _execute(command: Command) -> Any:
    match command:
        case Command(do="verify"):
            return _verify(command.user_id)
        case Command(do="repair", user_id=str(user_id)):
            repaired = repair(user_id)
            log.warning("ledger repaired", extra={"action": "repair", "entries": [entry.name for entry in repaired]})
            return {"repaired": repaired}
        case Command(do="export"):
            return export(command.user_id, command.after)
    raise InvalidInputError(f"cannot do {command.do!r} so", field="do")


def _verify(user_id: str | None) -> dict[str, Any]:
    verification = verify(user_id)
    facts: dict[str, Any] = msgspec.to_builtins(verification)
    listed = facts.pop("listed")
    for difference in listed:
        log.error("ledger difference", extra={"action": "verify", **difference})
    log.info("ledger verified", extra={"action": "verify", "user_id": user_id, **facts})
    if user_id is None:
        metrics.note("LedgerDifferences", verification.differences)
        metrics.note("LedgerAccountsBehind", verification.behind)
        metrics.note("LedgerEntriesChecked", verification.entries)
    return {**facts, "clean": verification.clean, "listed": listed}
