# ruff: noqa: N803 - boto3 names its arguments like this
"""How a stack's states are acted upon, and how its failures are reported."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from leaseway_local.deployment.stacks import CONTENT_TAG, Stack
from leaseway_local.errors import LocalCloudError

BODY = {"TemplateBody": '{"Parameters": {"Kept": {}, "Given": {}}}'}


class CloudFormation:
    """A CloudFormation of one stack that goes through the given states, one a look."""

    def __init__(
        self,
        *states: str | None,
        content: str = "old",
        parameters: Sequence[dict[str, str]] = (),
        refusal: str | None = None,
        events: Sequence[dict[str, Any]] = (),
    ) -> None:
        self.states = list(states)
        self.content = content
        self.parameters = parameters
        self.refusal = refusal
        self.events = events
        self.calls = []

    def describe_stacks(self, StackName: str) -> dict[str, Any]:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if state is None:
            raise ClientError(
                {"Error": {"Code": "ValidationError", "Message": f"Stack with id {StackName} does not exist"}},
                "DescribeStacks",
            )
        tags = [{"Key": CONTENT_TAG, "Value": self.content}]
        return {"Stacks": [{"StackStatus": state, "Tags": tags, "Parameters": list(self.parameters)}]}

    def describe_stack_events(self, StackName: str) -> dict[str, Any]:
        return {"StackEvents": list(self.events)}

    def create_stack(self, **request: Any) -> None:
        self._take("create", request)

    def update_stack(self, **request: Any) -> None:
        self._take("update", request)

    def delete_stack(self, StackName: str) -> None:
        self.calls.append(("delete", {}))

    def _take(self, kind: str, request: dict[str, Any]) -> None:
        self.calls.append((kind, request))
        if self.refusal:
            raise ClientError({"Error": {"Code": "ValidationError", "Message": self.refusal}}, kind)

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.calls]


def deploy(api: CloudFormation, *, keep: bool = False) -> None:
    Stack(api, "leaseway", poll=0).deploy(BODY, {"Given": "1"}, "new", keep_parameters=keep, progress=lambda _: None)


def event(name: str, reason: str, ago: float = 0) -> dict[str, Any]:
    return {
        "LogicalResourceId": name,
        "ResourceType": "AWS::Thing",
        "ResourceStatus": "CREATE_FAILED",
        "ResourceStatusReason": reason,
        "Timestamp": datetime.now(UTC) - timedelta(seconds=ago),
    }


def test_no_stack_is_created() -> None:
    api = CloudFormation(None, "CREATE_IN_PROGRESS", "CREATE_COMPLETE")

    deploy(api)

    assert api.kinds == ["create"]
    assert {"Key": CONTENT_TAG, "Value": "new"} in api.calls[0][1]["Tags"]


def test_a_stack_is_updated() -> None:
    api = CloudFormation("CREATE_COMPLETE", "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE")

    deploy(api)

    assert api.kinds == ["update"]


def test_what_a_failed_creation_left_is_deleted_before_a_new_one() -> None:
    api = CloudFormation("ROLLBACK_COMPLETE", None, "CREATE_COMPLETE")

    deploy(api)

    assert api.kinds == ["delete", "create"]


def test_a_deployment_that_is_under_way_is_waited_for() -> None:
    api = CloudFormation("UPDATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE")

    deploy(api)

    assert api.kinds == ["update"]


def test_an_update_without_changes_is_no_failure() -> None:
    api = CloudFormation("CREATE_COMPLETE", refusal="No updates are to be performed.")

    deploy(api)

    assert api.kinds == ["update"]


def test_parameters_that_an_account_holds_are_kept_where_none_is_given() -> None:
    parameters = [{"ParameterKey": name, "ParameterValue": "x"} for name in ("Kept", "Given", "Gone")]
    api = CloudFormation("CREATE_COMPLETE", "UPDATE_COMPLETE", parameters=parameters)

    deploy(api, keep=True)

    assert api.calls[0][1]["Parameters"] == [
        {"ParameterKey": "Given", "ParameterValue": "1"},
        {"ParameterKey": "Kept", "UsePreviousValue": True},
    ]


def test_a_failure_names_the_causes_and_not_their_consequences() -> None:
    events = [
        event("leaseway", "The following resource(s) failed to create: [Api]"),
        event("Queue", "Resource creation cancelled"),
        event("Api", "the document is broken"),
        event("Old", "of another deployment", ago=600),
    ]
    api = CloudFormation(None, "ROLLBACK_COMPLETE", events=events)

    with pytest.raises(LocalCloudError) as failure:
        deploy(api)

    assert "Api (AWS::Thing): the document is broken" in failure.value.what
    assert "cancelled" not in failure.value.what
    assert "of another deployment" not in failure.value.what


def test_a_refused_template_is_reported_in_cloudformations_words() -> None:
    api = CloudFormation(None, refusal="Unresolved resource dependencies [X]")

    with pytest.raises(LocalCloudError, match=r"Unresolved resource dependencies \[X\]"):
        deploy(api)


def test_a_stack_that_cannot_be_updated_is_left_alone() -> None:
    api = CloudFormation("UPDATE_ROLLBACK_FAILED")

    with pytest.raises(LocalCloudError, match="UPDATE_ROLLBACK_FAILED"):
        deploy(api)

    assert api.kinds == []


@pytest.mark.parametrize(
    ("state", "content", "holds"),
    [
        ("CREATE_COMPLETE", "new", True),
        ("UPDATE_COMPLETE", "new", True),
        ("UPDATE_COMPLETE", "old", False),
        ("UPDATE_ROLLBACK_COMPLETE", "new", False),
        (None, "new", False),
    ],
)
def test_only_a_successful_deployment_of_equal_content_needs_no_other(
    state: str | None, content: str, holds: bool
) -> None:
    assert Stack(CloudFormation(state, content=content), "leaseway", poll=0).holds("new") is holds
