"""Create, update and delete a CloudFormation stack, wait for it, and explain its failures."""

import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from leaseway_local.connection.outputs import describe_stack
from leaseway_local.errors import LocalCloudError

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient

CONTENT_TAG = "leaseway-content"
"""Tag with the hash of template and parameters: if it is equal, there is nothing to deploy."""

_SETTLED = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")
_UNUSABLE = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED", "REVIEW_IN_PROGRESS")
_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
_CONSEQUENCES = ("cancelled", "The following resource(s) failed")  # of another resource's failure, not causes
_WAIT_SECONDS = 1_800.0


class Stack:
    """A stack by its name. `poll` is the number of seconds between two polls."""

    def __init__(self, cloudformation: "CloudFormationClient", name: str, *, poll: float) -> None:
        self.name = name
        self._api = cloudformation
        self._poll = poll

    def describe(self) -> dict[str, Any] | None:
        """The stack as CloudFormation describes it, or None if there is none."""
        return describe_stack(self._api, self.name)

    def holds(self, content: str) -> bool:
        """Whether the stack was deployed from exactly this content, and successfully."""
        stack = self.describe()
        tags = {tag["Key"]: tag["Value"] for tag in stack.get("Tags", [])} if stack else {}
        return bool(
            stack
            and stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
            and tags.get(CONTENT_TAG) == content
        )

    def deploy(
        self,
        source: Mapping[str, str],
        parameters: Mapping[str, str],
        content: str,
        *,
        keep_parameters: bool,
        progress: Callable[[str], None],
    ) -> None:
        """Create or update the stack and wait for it. `source` is TemplateBody or TemplateURL.

        Raises:
            LocalCloudError: a resource failed; carries its name and CloudFormation's reason.
        """
        existing = self._find_updatable(progress)
        since = time.time()
        request: dict[str, Any] = {
            "StackName": self.name,
            "Parameters": self._parameters(source, parameters, existing if keep_parameters else None),
            "Capabilities": _CAPABILITIES,
            "Tags": [{"Key": CONTENT_TAG, "Value": content}],
            **source,
        }
        try:
            (self._api.update_stack if existing else self._api.create_stack)(**request)
        except ClientError as problem:
            if "No updates are to be performed" in str(problem):
                return
            raise LocalCloudError(f"CloudFormation refused the template: {_error_message(problem)}", _HINT) from problem
        final = self._wait_until_settled(progress)
        if final not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise LocalCloudError(f"stack {self.name} ended as {final}.\n{self._failures(since)}", _HINT)

    def delete(self) -> None:
        """Delete the stack and wait; resources with a retention policy remain."""
        self._api.delete_stack(StackName=self.name)
        self._wait_until_settled(lambda _: None)

    def _find_updatable(self, progress: Callable[[str], None]) -> dict[str, Any] | None:
        """The stack to update, or None to create one. The remains of a failed creation are deleted first."""
        existing = self.describe()
        if existing and existing["StackStatus"].endswith("_IN_PROGRESS"):
            progress("waiting for a deployment in progress")
            self._wait_until_settled(progress)
            existing = self.describe()
        if existing and existing["StackStatus"] in _UNUSABLE:
            progress("removing what a failed creation left")
            self.delete()
            return None
        if existing and existing["StackStatus"] not in _SETTLED:
            raise LocalCloudError(
                f"stack {self.name} is in state {existing['StackStatus']} and cannot be updated.",
                "Continue or roll back its last update in CloudFormation, then deploy again.",
            )
        return existing

    def _parameters(
        self, source: Mapping[str, str], new_values: Mapping[str, str], existing: dict[str, Any] | None
    ) -> list[dict[str, Any]]:
        parameters: list[dict[str, Any]] = [
            {"ParameterKey": name, "ParameterValue": value} for name, value in new_values.items()
        ]
        if existing and "TemplateBody" in source:
            known = json.loads(source["TemplateBody"]).get("Parameters", {})
            parameters += [
                {"ParameterKey": previous["ParameterKey"], "UsePreviousValue": True}
                for previous in existing.get("Parameters", [])
                if previous["ParameterKey"] in known and previous["ParameterKey"] not in new_values
            ]
        return parameters

    def _wait_until_settled(self, progress: Callable[[str], None]) -> str:
        until = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < until:
            stack = self.describe()
            status = str(stack["StackStatus"]) if stack else "DELETE_COMPLETE"
            if not status.endswith("_IN_PROGRESS"):
                return status
            progress(status.replace("_", " ").lower())
            time.sleep(self._poll)
        raise LocalCloudError(f"stack {self.name} was still changing after {_WAIT_SECONDS:.0f} s.", _HINT)

    def _failures(self, since: float) -> str:
        events = self._api.describe_stack_events(StackName=self.name)["StackEvents"]
        causes = [
            f"  {event['LogicalResourceId']} ({event.get('ResourceType', '?')}): {event['ResourceStatusReason']}"
            for event in reversed(events)
            if event["ResourceStatus"].endswith("_FAILED")
            and event.get("ResourceStatusReason")
            and event["Timestamp"].timestamp() >= since - 5
            and not any(word in event["ResourceStatusReason"] for word in _CONSEQUENCES)
        ]
        return "\n".join(dict.fromkeys(causes)) or "  CloudFormation gave no reason."


_HINT = "Correct template.yaml or the code it names, then run `leaseway deploy`."


def _error_message(problem: ClientError) -> str:
    return str(problem.response.get("Error", {}).get("Message") or problem)
