"""What AWS refuses and the local engines let pass: every resource of the template, by its kind rather than its name.

Limits are those of the services' "quotas" pages, as of 2026; each group of constants names its service.
"""

import ast
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from leaseway_local.engine.paths import ROOT
from support.code_folders import CodeFolders
from support.template_lookup import (
    as_list,
    find_resources,
    list_statements,
    properties_of,
    resolve_bounds,
    resolve_default,
    resolve_name,
)

# CloudFormation: resources, parameters and outputs of a template, bytes of one that comes from a bucket.
RESOURCES, PARAMETERS, OUTPUTS, TEMPLATE_BYTES = 500, 200, 200, 1_000_000
# Lambda: layers, unzipped bytes, a function's policy, an invocation's seconds, filters of a mapping, their characters.
LAYERS, UNZIPPED_BYTES, POLICY_BYTES, LONGEST_SECONDS, FILTERS, FILTER_CHARACTERS = (
    5,
    262_144_000,
    20_480,
    900,
    5,
    4_096,
)
NAME = 64
# IAM: characters of a role's inline policies, white space not counted.
ROLE_CHARACTERS = 10_240
# API Gateway: seconds an integration may take.
GATEWAY_SECONDS = 29
# DynamoDB: indexes of a table; readers of a stream's shard.
INDEXES, STREAM_READERS = 20, 2
# CloudWatch: an alarm looks back a day at the most.
ALARM_SECONDS = 86_400

LONGEST_STACK_NAME = "leaseway-production"
RESERVED_VARIABLES = re.compile(r"_HANDLER|_X_AMZN_TRACE_ID|AWS_(?!DATA_PATH$).*|LAMBDA_.*")
MAPPING = "AWS::Lambda::EventSourceMapping"
OPERATORS = {
    "AND",
    "OR",
    "NOT",
    "BETWEEN",
    "ADD",
    "SET",
    "REMOVE",
    "DELETE",
    "attribute_exists",
    "attribute_not_exists",
}
DATA = ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SQS::Queue")


@pytest.fixture(scope="module")
def mappings(cloudformation_template: dict[str, Any]) -> dict[str, Any]:
    return find_resources(cloudformation_template, MAPPING)


@pytest.fixture(scope="module")
def queue_mappings(sam_template: dict[str, Any], mappings: dict[str, Any]) -> list[tuple[dict[str, Any], str, str]]:
    """(mapping, logical name of its queue, logical name of its function)."""
    named = [
        (
            mapping["Properties"],
            resolve_name(mapping["Properties"]["EventSourceArn"]),
            resolve_name(mapping["Properties"]["FunctionName"]),
        )
        for mapping in mappings.values()
    ]
    return [each for each in named if sam_template["Resources"][each[1]]["Type"] == "AWS::SQS::Queue"]


@pytest.fixture(scope="module")
def stream_mappings(sam_template: dict[str, Any], mappings: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        mapping["Properties"]
        for mapping in mappings.values()
        if sam_template["Resources"][resolve_name(mapping["Properties"]["EventSourceArn"])]["Type"]
        == "AWS::DynamoDB::Table"
    ]


def is_fifo(described: dict[str, Any], queue: str) -> bool:
    return properties_of(described, queue).get("FifoQueue") is True


def test_a_mapped_queue_hides_its_messages_as_long_as_its_function_may_run(
    sam_template: dict[str, Any], queue_mappings: list[tuple[dict[str, Any], str, str]]
) -> None:
    """Lambda refuses the mapping otherwise."""
    assert queue_mappings
    for _, queue, function in queue_mappings:
        least, _ = resolve_bounds(sam_template, properties_of(sam_template, queue).get("VisibilityTimeout", 30))
        _, longest = resolve_bounds(sam_template, properties_of(sam_template, function)["Timeout"])
        assert least >= longest, f"{queue} for {function}"


def test_no_queue_or_stream_is_mapped_to_one_function_twice(mappings: dict[str, Any]) -> None:
    pairs = Counter(
        (resolve_name(mapping["Properties"]["EventSourceArn"]), resolve_name(mapping["Properties"]["FunctionName"]))
        for mapping in mappings.values()
    )

    assert {pair: count for pair, count in pairs.items() if count > 1} == {}


def test_no_queue_has_two_functions_that_take_messages_from_each_other(
    queue_mappings: list[tuple[dict[str, Any], str, str]],
) -> None:
    readers = Counter(queue for _, queue, _ in queue_mappings)

    assert set(readers.values()) == {1}


def test_a_mapping_keeps_within_what_lambda_admits(
    sam_template: dict[str, Any], queue_mappings: list[tuple[dict[str, Any], str, str]]
) -> None:
    for mapping, queue, _ in queue_mappings:
        least, most = resolve_bounds(sam_template, mapping["ScalingConfig"]["MaximumConcurrency"])
        assert 2 <= least <= most <= 1_000, queue
        _, largest_batch = resolve_bounds(sam_template, mapping["BatchSize"])
        assert largest_batch <= 10, f"{queue}: a larger batch needs a window, which a local engine ignores"
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"], queue
        assert not (is_fifo(sam_template, queue) and "MaximumBatchingWindowInSeconds" in mapping), queue


def test_a_mapping_has_few_filters_and_they_are_json(mappings: dict[str, Any]) -> None:
    for name, mapping in mappings.items():
        filters = mapping["Properties"].get("FilterCriteria", {}).get("Filters", [])
        assert len(filters) <= FILTERS, name
        for each in filters:
            assert isinstance(json.loads(each["Pattern"]), dict), name
            assert len(each["Pattern"]) <= FILTER_CHARACTERS, name


def test_a_parameter_that_turns_a_schedule_off_does(
    sam_template: dict[str, Any], cloudformation_template: dict[str, Any]
) -> None:
    """SAM takes any reference for true: `Enabled: !Ref SweeperEnabled` would be ENABLED whatever its value."""
    rules = find_resources(cloudformation_template, "AWS::Events::Rule")

    assert rules
    for name, rule in rules.items():
        condition, if_true, if_false = rule["Properties"]["State"]["Fn::If"]
        assert (if_true, if_false) == ("ENABLED", "DISABLED"), name
        parameter, value = sam_template["Conditions"][condition]["Fn::Equals"]
        assert (sam_template["Parameters"][parameter["Ref"]]["AllowedValues"], value) == (["true", "false"], "true"), (
            name
        )


def test_no_more_than_two_functions_read_a_stream(stream_mappings: list[dict[str, Any]]) -> None:
    """A third reader of a shard is throttled, and throttles the others."""
    readers = Counter(resolve_name(mapping["EventSourceArn"]) for mapping in stream_mappings)

    assert readers
    assert max(readers.values()) <= STREAM_READERS, readers


def test_every_queue_of_jobs_ends_in_a_dead_letter_queue_of_its_own_kind(sam_template: dict[str, Any]) -> None:
    queues = find_resources(sam_template, "AWS::SQS::Queue")
    ends = {
        resolve_name(queue["Properties"]["RedrivePolicy"]["deadLetterTargetArn"])
        for queue in queues.values()
        if "RedrivePolicy" in queue["Properties"]
    }

    assert ends
    for name in queues.keys() - ends:
        redrive = properties_of(sam_template, name)["RedrivePolicy"]
        # Where order is kept a retry keeps its message, so receives count attempts too.
        receives = 100 if is_fifo(sam_template, name) else 20
        assert resolve_default(sam_template, redrive["maxReceiveCount"]) == receives, (
            f"{name}: crashes have a limit of their own"
        )
        assert is_fifo(sam_template, resolve_name(redrive["deadLetterTargetArn"])) == is_fifo(sam_template, name), name
    assert all("RedrivePolicy" not in properties_of(sam_template, name) for name in ends)


def test_a_dead_letter_queue_outlives_the_queues_before_it(sam_template: dict[str, Any]) -> None:
    """A message keeps its age when it is moved."""
    for name, queue in find_resources(sam_template, "AWS::SQS::Queue").items():
        redrive = queue["Properties"].get("RedrivePolicy")
        if redrive:
            retention = properties_of(sam_template, resolve_name(redrive["deadLetterTargetArn"])).get(
                "MessageRetentionPeriod", 345_600
            )
            assert retention >= queue["Properties"].get("MessageRetentionPeriod", 345_600), name


def test_reserved_concurrency_is_enough_for_the_mappings_it_serves(
    sam_template: dict[str, Any], queue_mappings: list[tuple[dict[str, Any], str, str]]
) -> None:
    """Where it is not, mappings take messages that they cannot hand over, and these run out of receives."""
    for name, function in find_resources(sam_template, "AWS::Serverless::Function").items():
        reserved = function["Properties"].get("ReservedConcurrentExecutions")
        needed = sum(
            resolve_bounds(sam_template, mapping["ScalingConfig"]["MaximumConcurrency"])[1]
            for mapping, _, served in queue_mappings
            if served == name
        )
        assert not (needed and reserved) or resolve_bounds(sam_template, reserved)[0] >= needed, name


def test_a_function_ends_before_what_calls_it_gives_up(
    sam_template: dict[str, Any], cloudformation_template: dict[str, Any]
) -> None:
    for name, function in find_resources(cloudformation_template, "AWS::Lambda::Function").items():
        _, longest = resolve_bounds(sam_template, function["Properties"]["Timeout"])
        assert longest <= LONGEST_SECONDS, name
        assert len(function["Properties"].get("Layers", [])) <= LAYERS, name
    for name in ("ApiFunction", "AuthorizerFunction"):
        assert resolve_bounds(sam_template, properties_of(sam_template, name)["Timeout"])[1] <= GATEWAY_SECONDS, name


def test_the_door_knows_tls_only(sam_template: dict[str, Any], cloudformation_template: dict[str, Any]) -> None:
    """A REST API's own address answers HTTPS and nothing else; a function's URL or a domain would need a look."""
    assert list(find_resources(cloudformation_template, "AWS::ApiGateway::RestApi")) == ["Api"]
    for kind in ("AWS::Lambda::Url", "AWS::ApiGateway::DomainName", "AWS::ApiGatewayV2::Api"):
        assert not find_resources(cloudformation_template, kind)
    address = sam_template["Outputs"]["ApiUrl"]["Value"]["Fn::Sub"]
    assert address.startswith("https://${Api}.execute-api.")


def test_a_function_with_its_layers_fits_into_an_environment(code_folders: CodeFolders) -> None:
    size = sum(
        path.stat().st_size
        for folder in (code_folders.runtime, code_folders.core, code_folders.functions)
        for path in folder.rglob("*")
        if path.is_file()
    )

    assert size <= UNZIPPED_BYTES * 0.5, "half is for the job types of those who build on this"


def test_sam_builds_every_archive_by_our_recipe(sam_template: dict[str, Any]) -> None:
    """SAM's own builder would leave out the compiled modules, which are half of a cold start."""
    for kind in ("AWS::Serverless::Function", "AWS::Serverless::LayerVersion"):
        for name, resource in find_resources(sam_template, kind).items():
            assert resource["Metadata"] == {"BuildMethod": "makefile"}, name


@pytest.mark.parametrize("environment", ["default", "staging", "prod"])
def test_samconfig_deploys_what_the_template_admits(environment: str, sam_template: dict[str, Any]) -> None:
    settings = tomllib.loads((ROOT / "samconfig.toml").read_text())[environment]["deploy"]["parameters"]

    assert len(settings["stack_name"]) <= len(LONGEST_STACK_NAME)
    assert settings["capabilities"].split() == ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
    for override in settings["parameter_overrides"]:
        name, _, value = override.partition("=")
        parameter = sam_template["Parameters"][name]
        assert value in map(str, parameter.get("AllowedValues", [value])), override
        if "MinValue" in parameter:
            assert parameter["MinValue"] <= float(value) <= parameter["MaxValue"], override
    data_is_kept = "DeletionProtection=false" not in settings["parameter_overrides"]
    assert data_is_kept == (environment != "default")


def test_no_variable_has_a_name_that_lambda_reserves(cloudformation_template: dict[str, Any]) -> None:
    for name, function in find_resources(cloudformation_template, "AWS::Lambda::Function").items():
        for variable in function["Properties"]["Environment"]["Variables"]:
            assert not RESERVED_VARIABLES.fullmatch(variable), f"{name}: {variable}"


def test_names_fit_with_the_stacks_name_in_them(sam_template: dict[str, Any]) -> None:
    for kind, key in (("AWS::Serverless::Function", "FunctionName"), ("AWS::Serverless::LayerVersion", "LayerName")):
        for name, resource in find_resources(sam_template, kind).items():
            full = resource["Properties"][key]["Fn::Sub"].replace("${AWS::StackName}", LONGEST_STACK_NAME)
            assert re.fullmatch(r"[A-Za-z0-9-_]+", full), name
            assert len(full) <= NAME, name


def test_a_functions_policy_is_small(cloudformation_template: dict[str, Any]) -> None:
    """Each permission is a statement in it; near 49 of them it is full."""
    admitted = Counter(
        resolve_name(permission["Properties"]["FunctionName"])
        for permission in find_resources(cloudformation_template, "AWS::Lambda::Permission").values()
    )
    statement = 420  # bytes of one with the longest ARNs

    assert max(admitted.values()) * statement <= POLICY_BYTES, admitted


def test_a_roles_policies_fit(sam_template: dict[str, Any]) -> None:
    for name, role in find_resources(sam_template, "AWS::IAM::Role").items():
        text = json.dumps(role["Properties"]["Policies"], separators=(",", ":"))
        # Names become ARNs: a Fn::GetAtt of some 35 characters is some 100 on AWS.
        length = len(text) + 70 * text.count("Fn::GetAtt") + 70 * text.count("Fn::Sub")
        assert length <= ROLE_CHARACTERS, f"{name}: about {length}"


def test_no_role_names_an_action_or_an_object_that_may_be_any(sam_template: dict[str, Any]) -> None:
    for name, role in find_resources(sam_template, "AWS::IAM::Role").items():
        for statement in list_statements(role):
            assert statement["Effect"] == "Allow", name
            assert all(re.fullmatch(r"[a-z0-9-]+:[A-Za-z]+", action) for action in as_list(statement["Action"])), name
            assert "*" not in as_list(statement["Resource"]), name
            assert "NotAction" not in statement, name
            assert "NotResource" not in statement, name


def with_optional(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The parts of a list, those that a condition adds included."""
    return [part["Fn::If"][1] if "Fn::If" in part else part for part in parts]


def test_a_table_declares_its_key_attributes_and_no_others(sam_template: dict[str, Any]) -> None:
    for name, table in find_resources(sam_template, "AWS::DynamoDB::Table").items():
        table_properties = table["Properties"]
        indexes = with_optional(table_properties.get("GlobalSecondaryIndexes", []))
        keys = {key["AttributeName"] for each in (table_properties, *indexes) for key in each["KeySchema"]}
        declared = with_optional(table_properties["AttributeDefinitions"])
        assert {attribute["AttributeName"] for attribute in declared} == keys, name
        assert len(indexes) <= INDEXES, name
        assert len({index["IndexName"] for index in indexes}) == len(indexes), name
        assert all(re.fullmatch(r"[A-Za-z0-9_.-]{3,255}", index["IndexName"]) for index in indexes), name


def test_what_holds_data_survives_the_stack_and_its_changes(sam_template: dict[str, Any]) -> None:
    for kind in DATA:
        for name, resource in find_resources(sam_template, kind).items():
            assert resource["DeletionPolicy"] == "RetainExceptOnCreate", name
            assert resource["UpdateReplacePolicy"] == "Retain", name


def test_what_holds_data_has_no_name_of_its_own(sam_template: dict[str, Any]) -> None:
    """A replacement could not be made beside the old one, which is retained."""
    for kind, key in zip(DATA, ("TableName", "BucketName", "QueueName"), strict=True):
        for name, resource in find_resources(sam_template, kind).items():
            assert key not in resource["Properties"], name


def test_every_log_group_forgets(sam_template: dict[str, Any], cloudformation_template: dict[str, Any]) -> None:
    groups = find_resources(sam_template, "AWS::Logs::LogGroup")

    assert all("RetentionInDays" in group["Properties"] for group in groups.values())
    for name, function in find_resources(cloudformation_template, "AWS::Lambda::Function").items():
        assert resolve_name(function["Properties"]["LoggingConfig"]["LogGroup"]) in groups, name


def test_an_alarm_looks_back_no_longer_than_a_day(sam_template: dict[str, Any]) -> None:
    for name, alarm in find_resources(sam_template, "AWS::CloudWatch::Alarm").items():
        settings = alarm["Properties"]
        if "Period" in settings:
            assert settings["Period"] in (10, 30) or settings["Period"] % 60 == 0, name
            assert settings["Period"] * _most_periods(sam_template, settings["EvaluationPeriods"]) <= ALARM_SECONDS, (
                name
            )


def _most_periods(described: dict[str, Any], periods: Any) -> int:
    return int(described["Parameters"][periods["Ref"]]["MaxValue"] if isinstance(periods, dict) else periods)


def test_the_template_is_within_cloudformations_limits(
    sam_template: dict[str, Any], cloudformation_template: dict[str, Any]
) -> None:
    assert len(cloudformation_template["Resources"]) <= RESOURCES
    assert len(sam_template["Parameters"]) <= PARAMETERS
    assert len(sam_template["Outputs"]) <= OUTPUTS
    assert len((ROOT / "template.yaml").read_bytes()) <= TEMPLATE_BYTES


def expressions(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, text) of what is passed or put somewhere as a DynamoDB expression."""
    for node in ast.walk(tree):
        named = [(node.arg or "", node.value)] if isinstance(node, ast.keyword) else []
        if isinstance(node, ast.Dict):
            named = [
                (getattr(key, "value", "") or "", value) for key, value in zip(node.keys, node.values, strict=True)
            ]
        for name, value in named:
            if str(name).endswith("Expression"):
                for part in ast.walk(value):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        yield part.lineno, part.value


def test_expressions_written_by_hand_name_attributes_by_placeholder() -> None:
    """DynamoDB reserves 573 words, such as `status`, `owner` and `ttl`; a local engine may not."""
    seen, bare = 0, []
    for path in [*ROOT.glob("layers/core/python/leaseway/**/*.py"), *ROOT.glob("functions/**/*.py")]:
        for line, text in expressions(ast.parse(path.read_text())):
            seen += 1
            words = set(re.findall(r"(?<![#:\w])[A-Za-z_]\w*", text)) - OPERATORS
            bare += [f"{path.name}:{line} {word}" for word in words]
    assert seen
    assert bare == []
