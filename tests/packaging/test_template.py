"""template.yaml: what linters and SAM say of it, and what they do not see."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec import inspect

from leaseway.jobs.create.build import DAY_MS, LONGEST_DELAY_MS
from leaseway.jobs.types import _discover
from leaseway.settings import Settings
from leaseway_local.deployment import template
from support import tables
from support.template_lookup import (
    as_list,
    find_resources,
    list_statements,
    properties_of,
    resolve_default,
    resolve_name,
)

CODE = Path(__file__).parents[2] / "functions"


def _name_function(module: Path) -> str:
    """Return the logical name of a handler's function: LedgerCheckFunction for functions/ledger/check.py."""
    words = "_".join(part for part in module.relative_to(CODE).with_suffix("").parts if part != "app").split("_")
    return f"{''.join(map(str.title, words))}Function"


FUNCTIONS = {_name_function(module) for module in CODE.rglob("*.py") if "\ndef handler(" in module.read_text()}
TABLES = {f"{kind.__name__.title()}Table" for kind in tables.EVERY}
# Queues whose messages the worker takes.
WORKED = (
    *("JobsQueue", "HighQueue", "LowQueue", "OrderedQueue", "TasksQueue"),
    *(f"{name.title().replace('_', '')}Queue" for name, kind in _discover("worker.executors").items() if kind.limit),
)
# Actions that IAM knows for no single object: the part after a bucket's prefix must be a wildcard.
OPEN_ENDED = ("/owners/*", ":*")


def test_the_template_is_clean_for_cfn_lint() -> None:
    linter = Path(sys.executable).with_name("cfn-lint")
    done = subprocess.run([linter, str(template.TEMPLATE)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_sam_translates_the_template(cloudformation_template: dict[str, Any]) -> None:
    assert set(find_resources(cloudformation_template, "AWS::Lambda::Function")) == FUNCTIONS


def test_one_permission_a_function_admits_the_gateway(cloudformation_template: dict[str, Any]) -> None:
    """One a route would overflow the function's policy near 49 routes, on AWS only."""
    permissions = find_resources(cloudformation_template, "AWS::Lambda::Permission").values()

    of_gateway = [p for p in permissions if p["Properties"]["Principal"] == "apigateway.amazonaws.com"]
    admitted = [p["Properties"]["FunctionName"]["Fn::GetAtt"][0] for p in of_gateway]
    assert sorted(admitted) == ["ApiFunction", "AuthorizerFunction"]


def test_the_template_has_no_aliases() -> None:
    """CloudFormation reads YAML without them."""
    tokens = yaml.scan(template.TEMPLATE.read_text())

    assert not [token for token in tokens if isinstance(token, (yaml.AliasToken, yaml.AnchorToken))]


def test_the_gateway_document_uses_long_forms_of_what_the_template_has(sam_template: dict[str, Any]) -> None:
    text = template.gateway_path(sam_template).read_text()

    assert not re.search(r":\s+!\w", text), "an included document may not use short forms"
    named = set(re.findall(r"\$\{(\w+)\.Arn\}", text))
    assert named <= set(sam_template["Resources"])
    assert "ApiFunction" in named


def test_a_queue_hides_a_message_at_least_as_long_as_its_function_runs(sam_template: dict[str, Any]) -> None:
    for queue, function in (
        *((queue, "WorkerFunction") for queue in WORKED),
        ("DeadLetterQueue", "DeadLetterFunction"),
    ):
        visibility = properties_of(sam_template, queue)["VisibilityTimeout"]
        timeout = properties_of(sam_template, function)["Timeout"]
        assert resolve_default(sam_template, visibility) >= timeout
        if isinstance(visibility, dict):
            assert sam_template["Parameters"][visibility["Ref"]]["MinValue"] >= timeout


def test_lambda_stops_no_chain_of_retries(
    sam_template: dict[str, Any], cloudformation_template: dict[str, Any]
) -> None:
    """A function that reads a queue and may cause messages in it again is a loop to Lambda, which ends it after 16."""
    readers = {
        name
        for name, function in find_resources(sam_template, "AWS::Serverless::Function").items()
        if any(event["Type"] == "SQS" for event in function["Properties"].get("Events", {}).values())
    }

    allowed = {
        name
        for name, function in find_resources(cloudformation_template, "AWS::Lambda::Function").items()
        if function["Properties"].get("RecursiveLoop") == "Allow"
    }
    assert readers == allowed == {"WorkerFunction", "DeadLetterFunction"}


@pytest.mark.parametrize("event", ["Jobs", "HighJobs", "LowJobs"])
def test_the_workers_mapping_reports_failures_one_by_one_within_its_bounds(
    sam_template: dict[str, Any], event: str
) -> None:
    mapping = properties_of(sam_template, "WorkerFunction")["Events"][event]["Properties"]

    assert resolve_default(sam_template, mapping["BatchSize"]) == 10, "a batch is what a worker runs side by side"
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    concurrency = mapping["ScalingConfig"]["MaximumConcurrency"]
    assert sam_template["Parameters"][concurrency["Ref"]]["MinValue"] == 2
    redrive = properties_of(sam_template, resolve_name(mapping["Queue"]))["RedrivePolicy"]
    assert resolve_default(sam_template, redrive["maxReceiveCount"]) == 20


@pytest.mark.parametrize("name", ["Api", "Authorizer", "Ledger"])
def test_concurrency_that_workers_cannot_use_may_be_reserved(sam_template: dict[str, Any], name: str) -> None:
    reserved = properties_of(sam_template, f"{name}Function")["ReservedConcurrentExecutions"]

    # A reservation of 0 would let the function never run.
    assert reserved == {"Fn::If": [f"Has{name}Reserved", {"Ref": f"{name}Reserved"}, {"Ref": "AWS::NoValue"}]}
    is_zero = {"Fn::Equals": [{"Ref": f"{name}Reserved"}, "0"]}
    assert sam_template["Conditions"][f"Has{name}Reserved"] == {"Fn::Not": [is_zero]}
    assert sam_template["Parameters"][f"{name}Reserved"]["Default"] == 0


def test_each_priority_has_workers_that_no_other_can_take(sam_template: dict[str, Any]) -> None:
    events = properties_of(sam_template, "WorkerFunction")["Events"]
    bounds_of = {
        resolve_name(event["Properties"]["Queue"]): event["Properties"]["ScalingConfig"]["MaximumConcurrency"]["Ref"]
        for event in (events["Jobs"], events["HighJobs"], events["LowJobs"])
    }

    assert bounds_of == {
        "JobsQueue": "WorkerConcurrency",
        "HighQueue": "HighConcurrency",
        "LowQueue": "LowConcurrency",
    }


def test_a_limited_types_mapping_holds_its_limit_and_an_external_types_queue_has_none(
    sam_template: dict[str, Any],
) -> None:
    type_queues = sam_template["Globals"]["Function"]["Environment"]["Variables"]["TYPE_QUEUE_URLS"]["Fn::Sub"]
    queues = dict(pair.split("=") for pair in type_queues.split(","))
    mappings = {
        resolve_name(event["Properties"]["Queue"]): event["Properties"]
        for function in find_resources(sam_template, "AWS::Serverless::Function").values()
        for event in function["Properties"].get("Events", {}).values()
        if event["Type"] == "SQS"
    }
    owners = {kind.name: kind for kind in _discover("worker.executors").values() if kind.own_queue is not None}

    assert queues.keys() == owners.keys()
    assert any(kind.limit for kind in owners.values())
    for name, kind in owners.items():
        mapping = mappings.get(queues[name].strip("${}"))
        if kind.runs_on == "external":
            assert mapping is None, f"Lambda would take the jobs of {name}"
        else:
            assert mapping["BatchSize"] * mapping["ScalingConfig"]["MaximumConcurrency"] == kind.limit, name


def test_every_mapping_of_the_worker_is_turned_off_by_a_boolean(sam_template: dict[str, Any]) -> None:
    """The text "false" is true to some engines, and nodes would share each queue with Lambda there."""
    events = properties_of(sam_template, "WorkerFunction")["Events"].values()

    assert {json.dumps(event["Properties"]["Enabled"]) for event in events} == {
        json.dumps({"Fn::If": ["WorkersTakeJobs", True, False]})
    }


def test_a_run_of_a_task_shares_its_worker_with_nobody(sam_template: dict[str, Any]) -> None:
    mapping = properties_of(sam_template, "WorkerFunction")["Events"]["TaskRuns"]["Properties"]

    assert mapping["BatchSize"] == 1
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    concurrency = sam_template["Parameters"][mapping["ScalingConfig"]["MaximumConcurrency"]["Ref"]]
    assert (concurrency["MinValue"], concurrency["Default"]) == (2, 5)


def test_the_tally_never_gives_up_and_never_splits_a_batch(sam_template: dict[str, Any]) -> None:
    mapping = properties_of(sam_template, "TallyFunction")["Events"]["JobChanges"]["Properties"]

    assert (mapping["BatchSize"], mapping["StartingPosition"]) == (100, "TRIM_HORIZON")
    assert (mapping["MaximumRetryAttempts"], mapping["MaximumRecordAgeInSeconds"]) == (-1, -1)
    assert mapping["BisectBatchOnFunctionError"] is False
    assert "FunctionResponseTypes" not in mapping


def test_retention_sees_removals_only_and_lets_one_go_before_the_stream_does(sam_template: dict[str, Any]) -> None:
    mapping = properties_of(sam_template, "RetentionFunction")["Events"]["RemovedJobs"]["Properties"]
    (pattern,) = mapping["FilterCriteria"]["Filters"]

    assert json.loads(pattern["Pattern"]) == {"eventName": ["REMOVE"]}
    assert mapping["BisectBatchOnFunctionError"] is True
    assert 0 < mapping["MaximumRecordAgeInSeconds"] < 86_400
    assert "FunctionResponseTypes" not in mapping


def test_no_object_goes_before_its_job(sam_template: dict[str, Any]) -> None:
    default = {name: sam_template["Parameters"][name]["Default"] for name in ("RetentionDays", "ObjectDays")}
    (net,) = [
        rule
        for rule in properties_of(sam_template, "Bucket")["LifecycleConfiguration"]["Rules"]
        if "ExpirationInDays" in rule
    ]

    assert net == {"Id": "old-objects", "Status": "Enabled", "ExpirationInDays": {"Ref": "ObjectDays"}}
    assert default["ObjectDays"] > LONGEST_DELAY_MS / DAY_MS + default["RetentionDays"] + 1


def test_the_ledger_never_gives_up_and_its_age_calls(sam_template: dict[str, Any]) -> None:
    mapping = properties_of(sam_template, "LedgerFunction")["Events"]["AccountChanges"]["Properties"]
    alarm = properties_of(sam_template, "LedgerBehindAlarm")

    assert (mapping["MaximumRetryAttempts"], mapping["MaximumRecordAgeInSeconds"]) == (-1, -1)
    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    assert mapping["BisectBatchOnFunctionError"] is True
    assert "FunctionResponseTypes" not in mapping
    assert (alarm["MetricName"], resolve_default(sam_template, alarm["Threshold"])) == ("IteratorAge", 300_000)
    assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": "LedgerFunction"}}]


def test_no_role_may_change_or_delete_an_entry(sam_template: dict[str, Any]) -> None:
    for name, role in find_resources(sam_template, "AWS::IAM::Role").items():
        for statement in list_statements(role):
            if {"Fn::GetAtt": ["LedgerTable", "Arn"]} in as_list(statement["Resource"]):
                assert not {"dynamodb:UpdateItem", "dynamodb:DeleteItem"} & set(as_list(statement["Action"])), name


def test_data_is_retained_recoverable_and_protected(sam_template: dict[str, Any]) -> None:
    assert set(find_resources(sam_template, "AWS::DynamoDB::Table")) == TABLES
    for name in (*TABLES, "Bucket", *find_resources(sam_template, "AWS::SQS::Queue")):
        assert sam_template["Resources"][name]["DeletionPolicy"] == "RetainExceptOnCreate"
        assert sam_template["Resources"][name]["UpdateReplacePolicy"] == "Retain"
    for name in TABLES:
        table = properties_of(sam_template, name)
        assert table["BillingMode"] == "PAY_PER_REQUEST"
        assert table["DeletionProtectionEnabled"] == {"Ref": "DeletionProtection"}
        recovery = table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
        assert recovery == {"Ref": "PointInTimeRecovery"}
    assert sam_template["Parameters"]["DeletionProtection"]["Default"] == "true"
    assert sam_template["Parameters"]["PointInTimeRecovery"]["Default"] == "true"


def test_expired_items_are_removed_by_the_tables_themselves(sam_template: dict[str, Any]) -> None:
    for name in ("JobsTable", "TotalsTable", "IdempotencyTable", "UsersTable", "HistoryTable"):
        assert properties_of(sam_template, name)["TimeToLiveSpecification"] == {
            "AttributeName": "expires_at",
            "Enabled": True,
        }


def test_the_indexes_hold_keys_only(sam_template: dict[str, Any]) -> None:
    declared = properties_of(sam_template, "JobsTable")["GlobalSecondaryIndexes"]
    (optional,) = [index["Fn::If"] for index in declared if "Fn::If" in index]
    always = [index for index in declared if "IndexName" in index]

    assert {index["IndexName"] for index in always} == {"owner", "live", "owner_outcome", "outcome", "dead_letter"}
    assert (optional[0], optional[1]["IndexName"], optional[2]) == ("HasEndedIndex", "ended", {"Ref": "AWS::NoValue"})
    assert {index["Projection"]["ProjectionType"] for index in [*always, optional[1]]} == {"KEYS_ONLY"}


def test_an_index_that_costs_a_unit_a_job_is_off_by_default(sam_template: dict[str, Any]) -> None:
    assert sam_template["Parameters"]["EndedIndex"]["Default"] == "false"


def test_the_bucket_is_private_and_encrypted(sam_template: dict[str, Any]) -> None:
    bucket = properties_of(sam_template, "Bucket")

    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]


def test_queues_and_bucket_refuse_plain_http_and_the_public(sam_template: dict[str, Any]) -> None:
    """The local engine asks them with AUTH only, and the bucket's not even then."""
    assert sam_template["Parameters"]["RefusePlainHttp"]["Default"] == "true"
    covered = set()
    for kind in ("AWS::SQS::QueuePolicy", "AWS::S3::BucketPolicy"):
        for policy in find_resources(sam_template, kind).values():
            (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
            assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")
            assert statement["Action"] in ("sqs:*", "s3:*")
            assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
            for resource in as_list(statement["Resource"]):
                covered.add(resource["Fn::Sub"] if "Fn::Sub" in resource else resource["Fn::GetAtt"][0])
            (target,) = policy["Properties"].get("Queues") or [policy["Properties"]["Bucket"]]
            assert target["Ref"] in covered
    assert covered == set(find_resources(sam_template, "AWS::SQS::Queue")) | {"Bucket", "${Bucket.Arn}/*"}
    assert set(properties_of(sam_template, "Bucket")["PublicAccessBlockConfiguration"].values()) == {True}


def test_the_gateway_is_throttled_by_parameters(sam_template: dict[str, Any]) -> None:
    (settings,) = properties_of(sam_template, "Api")["MethodSettings"]
    assert (settings["ResourcePath"], settings["HttpMethod"]) == ("/*", "*")
    assert settings["ThrottlingRateLimit"] == {"Ref": "ThrottleRate"}
    assert settings["ThrottlingBurstLimit"] == {"Ref": "ThrottleBurst"}


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_a_function_has_a_role_and_a_log_group_of_its_own(sam_template: dict[str, Any], function: str) -> None:
    function_properties = properties_of(sam_template, function)

    role = function_properties["Role"]["Fn::GetAtt"][0]
    group = properties_of(sam_template, function_properties["LoggingConfig"]["LogGroup"]["Ref"])
    assert role == function.replace("Function", "Role")
    assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert group["LogGroupName"]["Fn::Sub"] == f"/aws/lambda/{function_properties['FunctionName']['Fn::Sub']}"


def test_no_role_may_do_anything_it_does_not_name(sam_template: dict[str, Any]) -> None:
    for name, role in find_resources(sam_template, "AWS::IAM::Role").items():
        assert "ManagedPolicyArns" not in role["Properties"], name
        for statement in list_statements(role):
            for action in as_list(statement["Action"]):
                assert "*" not in action, f"{name} may {action}"
            for resource in as_list(statement["Resource"]):
                text = resource.get("Fn::Sub", "") if isinstance(resource, dict) else resource
                assert "*" not in text or text.endswith(OPEN_ENDED), f"{name} reaches {text}"


def test_only_the_functions_that_move_jobs_may_write_them(sam_template: dict[str, Any]) -> None:
    writers = {
        name
        for name, role in find_resources(sam_template, "AWS::IAM::Role").items()
        for statement in list_statements(role)
        if {"dynamodb:UpdateItem", "dynamodb:PutItem"} & set(as_list(statement["Action"]))
        and {"Fn::GetAtt": ["JobsTable", "Arn"]} in as_list(statement["Resource"])
    }

    assert writers == {"ApiRole", "WorkerRole", "SweeperRole", "SchedulerRole", "DeadLetterRole"}


def test_every_variable_of_the_functions_is_a_setting(sam_template: dict[str, Any]) -> None:
    variables = sam_template["Globals"]["Function"]["Environment"]["Variables"]

    assert set(map(str.lower, variables)) <= set(Settings.__struct_fields__)


def test_parameters_of_settings_have_the_settings_own_bounds(sam_template: dict[str, Any]) -> None:
    fields = {field.name: field for field in inspect.type_info(Settings).fields}
    variables = sam_template["Globals"]["Function"]["Environment"]["Variables"]
    compared = 0
    for variable, value in variables.items():
        field, parameter = fields[variable.lower()], sam_template["Parameters"].get(value.get("Ref", ""))
        if parameter is None:
            continue
        compared += 1
        kind = field.type.type if isinstance(field.type, inspect.Metadata) else field.type
        assert parameter["Default"] == field.default, variable
        if isinstance(kind, inspect.IntType):
            assert (parameter["MinValue"], parameter["MaxValue"]) == (kind.ge, kind.le), variable
        if isinstance(kind, inspect.LiteralType):
            assert sorted(parameter["AllowedValues"]) == sorted(kind.values), variable
    assert compared > 10


def test_the_longest_sweep_ends_half_a_minute_before_its_function_is_stopped(sam_template: dict[str, Any]) -> None:
    longest = sam_template["Parameters"]["SweepSeconds"]["MaxValue"]

    assert longest + 30 <= properties_of(sam_template, "SweeperFunction")["Timeout"]


def test_the_outputs_say_where_everything_is(sam_template: dict[str, Any]) -> None:
    assert set(sam_template["Outputs"]) >= FUNCTIONS | TABLES | {
        "ApiUrl",
        *(f"{queue}Url" for queue in find_resources(sam_template, "AWS::SQS::Queue")),
        "Bucket",
    }


def test_the_functions_environment_fits_with_room_for_what_is_written_into_it(sam_template: dict[str, Any]) -> None:
    """Lambda takes 4 KB of names and values; queues and secrets have long addresses, and nothing local minds."""
    stack, region, account = "leaseway-production-in-the-south", "ap-southeast-3", "123456789012"

    def long(name: str, value: Any) -> str:
        if isinstance(value, str):
            return value
        if "Fn::Sub" in value:
            return re.sub(r"\$\{(\w+)\}", lambda reference: long(name, {"Ref": reference[1]}), value["Fn::Sub"])
        if "Fn::GetAtt" in value:
            return f"arn:aws:secretsmanager:{region}:{account}:secret:{value['Fn::GetAtt'][0]}-123456789012-123456"
        if value["Ref"] in sam_template["Parameters"]:
            parameter = sam_template["Parameters"][value["Ref"]]
            return str(parameter.get("MaxValue", parameter["Default"]))
        if value["Ref"] == "AWS::StackName":
            return stack
        physical = f"{stack}-{value['Ref']}-123456789012"
        is_queue = sam_template["Resources"][value["Ref"]]["Type"] == "AWS::SQS::Queue"
        return f"https://sqs.{region}.amazonaws.com/{account}/{physical}.fifo" if is_queue else physical

    for function in find_resources(sam_template, "AWS::Serverless::Function").values():
        own = function["Properties"].get("Environment", {}).get("Variables", {})
        variables = sam_template["Globals"]["Function"]["Environment"]["Variables"] | own
        size = sum(len(name) + len(long(name, value)) for name, value in variables.items())
        assert 2_000 < size <= 4_096 - 1_024, size
