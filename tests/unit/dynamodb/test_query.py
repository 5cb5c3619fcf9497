"""Queries and scans: which items they bring, in which order and with how many calls."""

import pytest

from leaseway import aws
from leaseway.dynamodb.query import Query, Range, Scan
from support.call_meter import meter_calls

pytestmark = pytest.mark.usefixtures("cloud")


@pytest.fixture(autouse=True)
def _entries(cloud: None) -> None:
    for number in range(1, 6):
        item = {"user_id": {"S": "ann"}, "version": {"N": str(number)}, "note": {"S": "x" * 250_000}}
        aws.client("dynamodb").put_item(TableName="ledger", Item=item)
    other = {"user_id": {"S": "bob"}, "version": {"N": "1"}, "balance_after": {"N": "7"}}
    aws.client("dynamodb").put_item(TableName="ledger", Item=other)


def of_ann(**options: object) -> Query:
    return Query(table="ledger_table", key=("user_id", "ann"), **options)  # type: ignore[arg-type]


def versions(query: Query, limit: int | None = None) -> list[int]:
    return [int(item["version"]["N"]) for item in query.items(limit=limit)]


def test_every_item_of_a_key_comes_however_many_megabytes_there_are() -> None:
    with meter_calls() as meter:
        assert versions(of_ann()) == [1, 2, 3, 4, 5]
    assert meter.count("dynamodb", "Query") == 2


def test_descending_begins_at_the_end() -> None:
    assert versions(of_ann(descending=True)) == [5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        (Range("version", "<", 3), [1, 2]),
        (Range("version", "<=", 3), [1, 2, 3]),
        (Range("version", ">", 3), [4, 5]),
        (Range("version", ">=", 3), [3, 4, 5]),
        (Range("version", "BETWEEN", 2, 4), [2, 3, 4]),
    ],
)
def test_a_range_bounds_the_range_key(bounds: Range, expected: list[int]) -> None:
    assert versions(of_ann(range=bounds)) == expected


def test_a_limit_is_one_call_and_an_exact_one_makes_no_second() -> None:
    with meter_calls() as meter:
        assert versions(of_ann(), limit=2) == [1, 2]
    assert meter.count("dynamodb", "Query") == 1


def test_a_limit_beyond_a_megabyte_is_reached_by_further_calls() -> None:
    assert versions(of_ann(), limit=5) == [1, 2, 3, 4, 5]


def test_a_page_names_the_key_to_start_after() -> None:
    first = of_ann().page(limit=2)
    second = of_ann().page(start=first.after, limit=5)
    assert [item["version"]["N"] for item in second.items] == ["3", "4", "5"]
    assert second.after is None


def test_a_scan_brings_all_items_or_those_that_have_an_attribute() -> None:
    assert len(list(Scan(table="ledger_table").items())) == 6
    assert [item["user_id"]["S"] for item in Scan(table="ledger_table", having="balance_after").items()] == ["bob"]
