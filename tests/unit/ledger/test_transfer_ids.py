"""The two entries of a transfer are joined by its id: each is found from the other, and by either of its names."""

from collections.abc import Callable
from typing import Any

import pytest

from leaseway import aws, clock
from leaseway.accounts import change_balance, create_account, get_account, transfer
from leaseway.ledger import EntryNotFoundError, get_entry, reverse
from leaseway.ledger.entries import entries_of
from leaseway.ledger.repair import NotRepairableError, repair
from leaseway.ledger.stream import LedgerMismatchError, record_changes
from leaseway.ledger.verify import verify
from support.account_stream import read_stream_records
from support.call_meter import meter_calls
from support.earlier_releases import name_sides_by_version
from support.faulty_wire import intercept_calls

START = 1_700_000_000


@pytest.fixture(autouse=True)
def _accounts(cloud: None) -> None:
    with clock.fixed(lambda: START):
        for user, balance in (("alice", 100), ("bob", 10)):
            create_account(user, balance, request_id=f"open-{user}")


def deliver() -> None:
    record_changes(read_stream_records())


def delete(partition: str, key: int) -> None:
    item = {"user_id": {"S": partition}, "version": {"N": str(key)}}
    aws.client("dynamodb").delete_item(TableName="ledger", Key=item)


def kinds_of_differences(user: str | None = None) -> set[tuple[str | None, int | None, str]]:
    return {(one.user_id, one.version, one.kind) for one in verify(user).listed}


def test_each_entry_of_a_transfer_leads_to_the_other() -> None:
    # Given a transfer
    transfer("alice", "bob", 30, owner=None, request_id="t")
    deliver()
    # When either entry is read, then its counterparty names the other, and both have one transfer id
    out, into = get_entry("alice:2"), get_entry("bob:2")
    assert out.transfer_id == into.transfer_id is not None
    assert (out.counterparty, into.counterparty) == (into.name, out.name)
    assert (get_entry(out.name), get_entry(into.name)) == (out, into)


def test_a_transfer_answers_with_the_names_of_its_entries() -> None:
    outcome = transfer("alice", "bob", 30, owner=None, request_id="t")
    change_balance("alice", -1, request_id="later")
    deliver()
    assert [get_entry(name).amount for name in outcome.entries] == [-30, 30]


def test_a_name_of_an_unknown_transfer_or_of_another_user_is_not_found() -> None:
    outcome = transfer("alice", "bob", 30, owner=None, request_id="t")
    transfer_id = outcome.entries[0].removeprefix("alice:")
    with pytest.raises(EntryNotFoundError):
        get_entry(outcome.entries[0])  # not delivered yet
    deliver()
    for name in (f"carol:{transfer_id}", f"alice:t{'0' * 32}"):
        with pytest.raises(EntryNotFoundError):
            get_entry(name)


def test_an_entry_of_a_transfer_costs_one_write_more_also_when_it_is_delivered_again() -> None:
    deliver()
    transfer("alice", "bob", 30, owner=None, request_id="t")
    stream = read_stream_records()[-2:]
    for _ in range(2):
        with meter_calls() as meter:
            record_changes(stream)
        assert dict(meter.operations()) == {"dynamodb.PutItem": 4}
        assert (meter.write_units(), meter.read_units()) == (4, 0)


def test_a_side_is_recorded_before_its_entry() -> None:
    """A process that dies between the two puts leaves an item that leads to an entry to come, and no hidden entry."""
    transfer("alice", "bob", 30, owner=None, request_id="t")
    stream, puts = read_stream_records()[-2:], []

    def note(send: Callable[[], Any], request: dict[str, Any]) -> Any:
        puts.append(request["Item"]["user_id"]["S"])
        return send()

    with intercept_calls(note, "PutItem", attempts=3):
        record_changes(stream)
    partition = puts[0]
    assert puts == [partition, "alice", partition, "bob"]
    assert partition.endswith("#transfer")


def test_two_entries_cannot_be_the_same_side_of_a_transfer() -> None:
    transfer("alice", "bob", 30, owner=None, request_id="t")
    deliver()
    forged = read_stream_records()[-1]
    forged["dynamodb"]["Keys"] = {"user_id": {"S": "carol"}}
    for image in ("OldImage", "NewImage"):
        forged["dynamodb"][image]["user_id"] = {"S": "carol"}
    with pytest.raises(LedgerMismatchError, match="another entry as this side"):
        record_changes([forged])
    assert list(entries_of("carol", 1, 9)) == []


def test_transfers_of_earlier_releases_verify_are_found_and_reversed() -> None:
    # Given a ledger of which the first half was written before there were transfer ids
    transfer("alice", "bob", 30, owner=None, request_id="t1")
    record_changes(name_sides_by_version(read_stream_records()))
    transfer("bob", "alice", 5, owner=None, request_id="t2")
    record_changes(read_stream_records()[-2:])
    # When it is verified and the earlier transfer is reversed
    assert verify().clean
    assert get_entry("alice:2").name == "alice:2"
    assert get_entry("alice:2").counterparty == "bob:2"
    reverse("bob:2", request_id="r")
    record_changes(read_stream_records()[-2:])
    # Then both sides are taken back, and all of it verifies
    assert (get_account("alice", owner=None).balance, get_account("bob", owner=None).balance) == (105, 5)
    assert {get_entry(name).reverses for name in ("alice:4", "bob:4")} == {"alice:2", "bob:2"}
    assert verify().clean


def test_an_entry_of_the_earlier_ledger_function_is_read_and_repeated() -> None:
    """While a deployment is under way, the function of the release before writes entries without their transfer id."""
    transfer("alice", "bob", 30, owner=None, request_id="t")
    stream = read_stream_records()
    earlier = read_stream_records()
    for record in earlier[-2:]:
        del record["dynamodb"]["NewImage"]["last_entry"]["M"]["transfer_id"]
    assert record_changes(earlier).written == 4
    # Then the entries have it from the other side's name, and a delivery to this release is a repetition
    assert get_entry("alice:2").transfer_id == stream[-1]["dynamodb"]["NewImage"]["last_entry"]["M"]["transfer_id"]["S"]
    assert record_changes(stream).repeated == 4


def test_a_lost_item_of_a_side_is_a_difference_and_repaired() -> None:
    # Given a transfer of which the item that leads to bob's entry is gone
    with clock.fixed(lambda: START + 1):
        outcome = transfer("alice", "bob", 30, owner=None, request_id="t")
    deliver()
    delete(f"{outcome.entries[0].removeprefix('alice:')}#transfer", 2)
    # When the ledger is verified long after, then the pair is not found
    assert ("alice", 2, "pair") in kinds_of_differences("alice")
    # And a repair of bob's entries puts the item again
    assert repair("bob") == []
    assert verify().clean


def test_a_lost_side_of_an_account_that_is_never_still_is_a_difference() -> None:
    # Given a side that is not found, and entries of its account that were made long after it
    with clock.fixed(lambda: START + 1):
        outcome = transfer("alice", "bob", 30, owner=None, request_id="t")
    with clock.fixed(lambda: START + 1_000):
        change_balance("bob", 1, request_id="later")
    deliver()
    delete(f"{outcome.entries[0].removeprefix('alice:')}#transfer", 2)
    # When the ledger is verified a moment after the last change, then it is not taken for one on its way
    with clock.fixed(lambda: START + 1_001):
        assert ("alice", 2, "pair") in kinds_of_differences("alice")


def test_a_side_that_was_never_delivered_is_rebuilt_from_the_other() -> None:
    # Given a stream that lost bob's side, so that nothing leads to it
    transfer("alice", "bob", 30, owner=None, request_id="t", reference="rent")
    change_balance("bob", 30, request_id="u")
    stream = read_stream_records()
    record_changes(record for record in stream if record != stream[-2])
    assert stream[-2]["dynamodb"]["NewImage"]["user_id"]["S"] == "bob"
    # When bob's entries are repaired
    (rebuilt,) = repair("bob")
    # Then it is the transfer's other side, and found by its id
    out = get_entry("alice:2")
    assert (rebuilt.kind, rebuilt.reference, rebuilt.name) == ("transfer", "rent", out.counterparty)
    assert get_entry(rebuilt.name) == rebuilt
    assert verify().clean


def test_a_gap_that_two_transfers_fit_is_not_guessed() -> None:
    # Given two transfers of the same amount whose sides at bob were never delivered
    for number in (1, 2):
        transfer("alice", "bob", 30, owner=None, request_id=f"t{number}")
        change_balance("bob", 1, request_id=f"u{number}")
    stream = read_stream_records()
    lost = [("bob", "2"), ("bob", "4")]
    images = [record["dynamodb"]["NewImage"] for record in stream]
    names = [(image["user_id"]["S"], image["version"]["N"]) for image in images]
    record_changes(record for record, name in zip(stream, names, strict=True) if name not in lost)
    # When bob's entries are repaired, then nothing is guessed
    with pytest.raises(NotRepairableError):
        repair("bob")
