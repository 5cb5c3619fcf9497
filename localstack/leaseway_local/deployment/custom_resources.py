"""Create the template's custom resources on an engine that skips them.

CloudFormation invokes the function that a custom resource names, and waits for its answer at a presigned address.
LocalStack's CloudFormation reports such a resource as created without invoking the function.
"""

import json
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from leaseway_local.answer_checks import parse_answer
from leaseway_local.connection.clients import Clients
from leaseway_local.connection.outputs import Outputs
from leaseway_local.engine.processes import wait_until
from leaseway_local.errors import LocalCloudError

if TYPE_CHECKING:
    from types_boto3_cloudformation.type_defs import StackResourceTypeDef

_PREFIX = "Custom::"
_SKIPPED = "unknown"  # the physical id that LocalStack gives to a resource it skipped
_ANSWER_SECONDS = 20.0
_HINT = "`leaseway logs first-admin` shows the function's log."


class _Outcome(TypedDict):
    """What a function puts at the presigned address."""

    Status: str
    Reason: NotRequired[str]


def complete(clients: Clients, result: Outputs, template: dict[str, Any], bucket: str) -> list[str]:
    """Invoke the functions that the engine did not. Answers go to `bucket`. Returns the resources' names.

    Raises:
        LocalCloudError: a function failed, or did not answer.
    """
    resources = clients.get("cloudformation").describe_stack_resources(StackName=result.stack)["StackResources"]
    skipped = [
        resource
        for resource in resources
        if resource["ResourceType"].startswith(_PREFIX) and resource.get("PhysicalResourceId") == _SKIPPED
    ]
    for resource in skipped:
        name = resource["LogicalResourceId"]
        if name not in template["Resources"]:
            raise LocalCloudError(f"template.yaml has no resource {name}, which the stack has.", _HINT)
        function = template["Resources"][name]["Properties"]["ServiceToken"]["Fn::GetAtt"][0]
        _create(clients, resource, result[function], bucket)
    return [resource["LogicalResourceId"] for resource in skipped]


def _create(clients: Clients, resource: "StackResourceTypeDef", function: str, bucket: str) -> None:
    s3, name = clients.get("s3"), resource["LogicalResourceId"]
    key = f"answers/{resource['StackName']}-{name}.json"
    s3.delete_object(Bucket=bucket, Key=key)
    event = {
        "RequestType": "Create",
        "RequestId": key,
        "StackId": resource["StackId"],
        "LogicalResourceId": name,
        "ResourceType": resource["ResourceType"],
        "ResponseURL": s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": key}),
    }
    outcome = clients.get("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
    if outcome.get("FunctionError"):
        failure = outcome["Payload"].read().decode(errors="replace")
        raise LocalCloudError(f"{function} did not create {name}: {failure}", _HINT)
    outcomes: list[_Outcome] = []

    def has_answered() -> bool:
        try:
            body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except s3.exceptions.NoSuchKey:
            return False
        outcomes.append(parse_answer(body, _Outcome, of=f"the answer of {function}"))
        return True

    if not wait_until(has_answered, _ANSWER_SECONDS):
        raise LocalCloudError(f"{function} did not create {name}: no answer", _HINT)
    if outcomes[0]["Status"] != "SUCCESS":
        raise LocalCloudError(f"{function} did not create {name}: {outcomes[0].get('Reason', 'no reason')}", _HINT)
