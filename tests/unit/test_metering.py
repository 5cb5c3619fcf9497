"""The meter itself: a wrong scale would make every budget test worthless."""

from typing import Any

import pytest

from leaseway import aws
from support.call_meter import Item, describe_table, meter_calls, size_of, units_of_change


def job(**more: Any) -> Item:
    return {"id": {"S": "1"}, "owner_key": {"S": "a#0"}, "created_key": {"S": "0#1"}, **more}


def test_an_update_is_one_call_one_write_and_one_unit(cloud: None) -> None:
    with meter_calls() as meter:
        aws.client("dynamodb").put_item(TableName="accounts", Item={"user_id": {"S": "1"}})
    assert meter.operations() == {"dynamodb.PutItem": 1}
    assert (meter.writes("accounts"), meter.write_units("accounts"), meter.read_units()) == (1, 1, 0)


def test_a_refused_condition_is_billed_and_touches_no_index(cloud: None) -> None:
    # Given an item of 3 KB, when a write to it is refused, then the item that refused is paid for
    dynamodb = aws.client("dynamodb")
    dynamodb.put_item(TableName="jobs", Item=job(payload={"S": "x" * 2500}))
    with meter_calls() as meter, pytest.raises(Exception, match="conditional"):
        aws.client("dynamodb").put_item(TableName="jobs", Item=job(), ConditionExpression="attribute_not_exists(id)")
    assert meter.by_index("jobs") == {None: 3}
    assert meter.calls[0].error == "ConditionalCheckFailedException"


def test_indexes_are_billed_for_what_moves_in_them(cloud: None) -> None:
    live = {"live_key": {"S": "0"}, "look_at": {"N": "5"}}
    with meter_calls() as created:
        aws.client("dynamodb").put_item(TableName="jobs", Item=job(**live))
    with meter_calls() as untouched:
        aws.client("dynamodb").put_item(TableName="jobs", Item=job(**live, attempts={"N": "1"}))
    with meter_calls() as moved:
        aws.client("dynamodb").put_item(TableName="jobs", Item=job(**live | {"look_at": {"N": "6"}}))
    with meter_calls() as left:
        aws.client("dynamodb").delete_item(TableName="jobs", Key={"id": {"S": "1"}})
    assert created.by_index("jobs") == {None: 1, "owner": 1, "live": 1}
    assert untouched.by_index("jobs") == {None: 1}
    assert moved.by_index("jobs") == {None: 1, "live": 2}
    assert left.by_index("jobs") == {None: 1, "owner": 1, "live": 1}


def test_a_transaction_costs_double_on_the_table_and_once_on_an_index(cloud: None) -> None:
    put = {"Put": {"TableName": "jobs", "Item": job()}}
    check = {
        "ConditionCheck": {
            "TableName": "accounts",
            "Key": {"user_id": {"S": "1"}},
            "ConditionExpression": "attribute_exists(user_id)",
        }
    }
    with meter_calls() as granted:
        aws.client("dynamodb").transact_write_items(TransactItems=[put])
    with meter_calls() as cancelled, pytest.raises(Exception, match="cancelled"):
        aws.client("dynamodb").transact_write_items(TransactItems=[put, check])
    assert granted.by_index("jobs") == {None: 2, "owner": 1}
    assert cancelled.write_units() == 4


def test_a_query_pays_for_what_its_filter_hides(cloud: None) -> None:
    # Given 3 jobs of 2 KB, when a query returns one of them, then all three were read: 6 KB, eventual
    dynamodb = aws.client("dynamodb")
    for name in "123":
        dynamodb.put_item(TableName="totals", Item={"scope": {"S": "a"}, "shard": {"S": name}, "x": {"S": "y" * 2000}})
    with meter_calls() as meter:
        answer = aws.client("dynamodb").query(
            TableName="totals",
            KeyConditionExpression="#s = :s",
            FilterExpression="#x = :x",
            ExpressionAttributeNames={"#s": "scope", "#x": "x"},
            ExpressionAttributeValues={":s": {"S": "a"}, ":x": {"S": "none"}},
        )
    assert answer["Count"] == 0
    assert (meter.keys(), meter.read_units("totals")) == (3, 1.0)


def test_batch_reads_round_each_item(cloud: None) -> None:
    with meter_calls() as meter:
        keys = [{"id": {"S": name}} for name in "123"]
        aws.client("dynamodb").batch_get_item(RequestItems={"jobs": {"Keys": keys}})
    assert (meter.read_units("jobs"), meter.keys()) == (1.5, 3)


def test_a_stream_record_is_billed_like_the_write_it_reports(cloud: None) -> None:
    table = describe_table(aws.client("dynamodb"), "jobs")
    finished = job(outcome_key={"S": "COMPLETED#1"}, owner_outcome_key={"S": "a#COMPLETED#1"})
    assert [charge.index for charge in units_of_change(job(), finished, table)] == [None, "owner_outcome", "outcome"]


def test_other_services_are_counted(cloud: None) -> None:
    with meter_calls() as meter:
        aws.client("sqs").list_queues()
    assert (meter.count("sqs"), meter.count("dynamodb"), meter.count()) == (1, 0, 1)


def test_sizes_follow_the_documented_rules() -> None:
    assert size_of({"ab": {"S": "é"}}) == 4
    assert size_of({"n": {"N": "1000"}}) == 3
    assert size_of({"m": {"M": {"a": {"BOOL": True}}}}) == 1 + 3 + 3
