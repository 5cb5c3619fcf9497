"""The deployment's ledger-check function: invoking it, and the reports that it returns."""

import json
from typing import Any, TypedDict

from leaseway_local.answer_checks import Shape, check_answer, parse_answer
from leaseway_local.connection import outputs
from leaseway_local.connection.clients import Target
from leaseway_local.connection.target import open_clients
from leaseway_local.errors import LocalCloudError

_ANSWER = "the answer of the ledger-check function"


class DifferenceReport(TypedDict):
    """Something that does not add up."""

    user_id: str | None
    version: int | None
    kind: str
    detail: str


class VerificationReport(TypedDict):
    """The result of a verification."""

    accounts: int
    entries: int
    behind: int
    differences: int
    clean: bool
    listed: list[DifferenceReport]


class RebuiltEntry(TypedDict):
    """An entry that was rebuilt from its neighbours."""

    user_id: str
    version: int
    kind: str
    amount: int


class RepairReport(TypedDict):
    """The result of a repair."""

    repaired: list[RebuiltEntry]


class ExportedEntry(TypedDict, total=False):
    """The texts of an entry that users wrote."""

    reference: str | None
    actor: str | None


class ExportReport(TypedDict):
    """A page of an export, and the key of the next one."""

    entries: list[ExportedEntry]
    after: dict[str, Any] | None


class RefusalReport(TypedDict):
    """Why the function refused a command."""

    code: str
    detail: str


class RefusedReport(TypedDict):
    """The answer to a refused command."""

    error: RefusalReport


def invoke_check(target: Target, command: dict[str, Any], shape: type[Shape]) -> Shape:
    """Invoke the ledger-check function and return its report.

    Raises:
        LocalCloudError: nothing is deployed, or the function failed or refused.
        UnexpectedAnswerError: the report is not of this shape.
    """
    clients = open_clients(target)
    function = outputs.fetch(clients)["LedgerCheckFunction"]
    answer = clients.get("lambda").invoke(FunctionName=function, Payload=json.dumps(command))
    report = parse_answer(answer["Payload"].read(), dict[str, Any], of=_ANSWER)
    if answer.get("FunctionError"):
        raise LocalCloudError(f"the check failed: {report.get('errorMessage', report)}", "`leaseway logs` says more.")
    if "error" in report:
        refusal = check_answer(report, RefusedReport, of=_ANSWER)["error"]
        raise LocalCloudError(f"{refusal['code']}: {refusal['detail']}")
    return check_answer(report, shape, of=_ANSWER)
