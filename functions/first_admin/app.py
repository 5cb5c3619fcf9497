"""The function behind the template's custom resources: the first Admin, and a check of the parameters.

Invoked by hand with `{"break_glass": NAME}`, it makes that user an Admin: the way back in when no Admin can sign in.

CloudFormation waits up to an hour for an answer, so one is sent whatever happens.
"""

from leaseway import coldstart

with coldstart.loading():
    import json
    from collections.abc import Callable
    from typing import TYPE_CHECKING, Any, NamedTuple

    from leaseway import aws
    from leaseway.errors import LeasewayError
    from leaseway.identity import ensure_admin, make_admin
    from leaseway.logs import log
    from leaseway.settings import SettingsInvalidError, require_setting

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any] | None:
    """Answer one event of CloudFormation, or break the glass. Deleting a resource does nothing; no user is deleted."""
    if "break_glass" in event:
        return _break_glass(event["break_glass"])
    try:
        if event["RequestType"] != "Delete":
            _RESOURCES[event["ResourceType"]].create()
    except SettingsInvalidError as problem:
        log.error("parameters refused", extra={"action": "check", "why": str(problem)})
        _answer(event, "FAILED", str(problem))
    except Exception as failure:
        log.exception("custom resource", extra={"action": "custom_resource", "resource": event.get("ResourceType")})
        _answer(event, "FAILED", f"{type(failure).__name__}: see the function's log")
    else:
        _answer(event, "SUCCESS", "")
    return None


def _break_glass(username: str) -> dict[str, Any]:
    """Make the user an Admin and return a code for a new password, or the reason of a refusal."""
    try:
        code = make_admin(username)
    except LeasewayError as refusal:
        return {"error": refusal.detail}
    facts = {"event": "break_glass", "outcome": "granted", "who": username}
    log.warning("security", extra={"action": "security", **facts})
    return {"username": username, "code": code.text, "expires_at": code.expires_at}


def _create_admin() -> None:
    """Create the first Admin, with the password that the stack generated, unless it exists."""
    secret = aws.client("secretsmanager").get_secret_value(SecretId=require_setting("admin_secret"))
    admin = json.loads(secret["SecretString"])
    created = ensure_admin(admin["username"], admin["password"])
    log.info("first admin", extra={"action": "first_admin", "who": admin["username"], "made": created})


def _check_parameters() -> None:
    # The rules of jobs are imported for this check only: most deployments change no parameter that it needs.
    from leaseway.jobs.upkeep.object_days import check_object_days  # noqa: PLC0415

    check_object_days()


class _CustomResource(NamedTuple):
    physical_id: str
    create: Callable[[], None]
    """Called at each deployment that changes a property of the resource."""


_RESOURCES = {
    "Custom::FirstAdmin": _CustomResource("first-admin", _create_admin),
    "Custom::ParameterCheck": _CustomResource("parameter-check", _check_parameters),
}


def _answer(event: dict[str, Any], status: str, reason: str) -> None:
    import urllib3  # noqa: PLC0415 - once per deployment

    resource = _RESOURCES.get(event["ResourceType"])
    document = {
        "Status": status,
        "Reason": reason,
        "PhysicalResourceId": resource.physical_id if resource else event["LogicalResourceId"],
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    # The address is signed for an empty content type.
    urllib3.PoolManager(timeout=10).request(
        "PUT", event["ResponseURL"], body=json.dumps(document).encode(), headers={"content-type": ""}
    )
