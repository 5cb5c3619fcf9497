"""The function behind the template's custom resource: the first Admin, with the password that the stack generated.

CloudFormation waits up to an hour for an answer, so one is sent whatever happens.
"""

from leaseway import coldstart

with coldstart.loading():
    import json
    from typing import TYPE_CHECKING, Any

    from leaseway import aws
    from leaseway.identity import ensure_admin
    from leaseway.logs import log
    from leaseway.settings import needed

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_ID = "first-admin"


def handler(event: dict[str, Any], context: "LambdaContext") -> None:
    """Answer one event of CloudFormation. Deleting the resource deletes no user."""
    try:
        if event["RequestType"] != "Delete":
            _create_admin()
    except Exception as failure:
        log.exception("first admin", extra={"action": "first_admin"})
        _answer(event, "FAILED", f"{type(failure).__name__}: see the function's log")
    else:
        _answer(event, "SUCCESS", "")


def _create_admin() -> None:
    secret = aws.client("secretsmanager").get_secret_value(SecretId=needed("admin_secret"))
    admin = json.loads(secret["SecretString"])
    created = ensure_admin(admin["username"], admin["password"])
    log.info("first admin", extra={"action": "first_admin", "who": admin["username"], "made": created})


def _answer(event: dict[str, Any], status: str, reason: str) -> None:
    import urllib3  # noqa: PLC0415 - once per deployment

    document = {
        "Status": status,
        "Reason": reason,
        "PhysicalResourceId": _ID,
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    # The address is signed for an empty content type.
    urllib3.PoolManager(timeout=10).request(
        "PUT", event["ResponseURL"], body=json.dumps(document).encode(), headers={"content-type": ""}
    )
