"""Verification and repair against DynamoDB in memory: what is broken on purpose is found, named and mended."""

from decimal import Decimal
from typing import Any

import pytest

from leaseway import aws, clock
from leaseway.accounts import AccountNotFoundError, change_balance, create_account, transfer
from leaseway.errors import UnavailableError
from leaseway.ledger import Entry, get_entry, reverse
from leaseway.ledger.export import export
from leaseway.ledger.repair import NotRepairableError, repair
from leaseway.ledger.stream import record_changes
from leaseway.ledger.verify import Verification, verify
from ledger import check
from support.account_stream import read_stream_records

START = 1_700_000_000


@pytest.fixture(autouse=True)
def _busy_accounts(cloud: None) -> None:
    with clock.fixed(lambda: START):
        for user, balance in (("alice", 100), ("bob", 50), ("carol", 0)):
            create_account(user, balance, request_id=f"open-{user}")
        change_balance("alice", 25, request_id="u1", reference="pay")
        transfer("alice", "bob", 30, owner=None, request_id="t1", reference="rent")
        change_balance("alice", -5, request_id="u2")
        transfer("bob", "carol", 7, owner=None, request_id="t2")
        change_balance("alice", 1, request_id="u3")


def deliver(*without: str) -> None:
    """Everything the stream has, but for the named entries."""
    record_changes(record for record in read_stream_records() if _name(record) not in without)


def _name(record: dict[str, Any]) -> str:
    image = record["dynamodb"]["NewImage"]
    return f"{image['user_id']['S']}:{image['version']['N']}"


def tamper(user: str, version: int, **changes: Any) -> None:
    names = {f"#{name}": name for name in changes}
    values = {f":{name}": {"N": str(v)} if isinstance(v, int) else {"S": v} for name, v in changes.items()}
    aws.client("dynamodb").update_item(
        TableName="ledger",
        Key={"user_id": {"S": user}, "version": {"N": str(version)}},
        UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in changes),
        ExpressionAttributeNames=names,
        ExpressionAttributeValues=values,
    )


def delete(user: str, version: int) -> None:
    key = {"user_id": {"S": user}, "version": {"N": str(version)}}
    aws.client("dynamodb").delete_item(TableName="ledger", Key=key)


def list_differences(user: str | None = None) -> set[tuple[str | None, int | None, str]]:
    return {(one.user_id, one.version, one.kind) for one in verify(user).listed}


def verify_soon() -> Verification:
    with clock.fixed(lambda: START + 599):
        return verify()


def test_a_whole_ledger_is_clean_and_its_totals_agree() -> None:
    deliver()
    report = verify()
    assert (report.clean, report.accounts, report.entries, report.behind) == (True, 3, 10, 0)
    assert report.balances == report.brought_in == 171
    assert verify("bob").clean


def test_entries_on_their_way_are_no_gap_for_ten_minutes() -> None:
    deliver("alice:5", "bob:3", "carol:2")
    report = verify_soon()
    assert (report.clean, report.behind) == (True, 3)
    assert list_differences() >= {("alice", 5, "gap"), ("bob", 3, "gap"), ("carol", 2, "gap")}


def test_one_side_of_a_transfer_on_its_way_leaves_the_totals_right() -> None:
    deliver("carol:2", "alice:5", "alice:4", "alice:3")
    report = verify_soon()
    assert (report.clean, report.listed) == (True, [])
    assert report.under_way != 0


def test_nothing_delivered_is_behind_first_and_then_missing() -> None:
    assert (verify_soon().behind, verify_soon().clean) == (3, True)
    assert list_differences() >= {("alice", 1, "gap"), ("bob", 1, "gap"), ("carol", 1, "gap")}


def test_a_gap_in_the_middle_is_found_at_once() -> None:
    deliver("alice:2")
    assert ("alice", 3, "gap") in {(one.user_id, one.version, one.kind) for one in verify_soon().listed}


@pytest.mark.parametrize(
    ("version", "changes", "kind"),
    [
        (2, {"amount": 24}, "chain"),
        (2, {"prev_balance": 99, "amount": 26}, "chain"),
        (5, {"amount": 2, "balance_after": 92}, "balance"),
        (2, {"kind": "opening"}, "chain"),
        (3, {"counterparty": "bob:3"}, "pair"),
        (3, {"counterparty": "ghost:1"}, "pair"),
        (3, {"counterparty": "bob:99"}, "pair"),
    ],
)
def test_what_was_tampered_with_is_found(version: int, changes: dict[str, Any], kind: str) -> None:
    deliver()
    tamper("alice", version, **changes)
    assert kind in {difference for _, _, difference in list_differences()}
    assert kind in {difference for _, _, difference in list_differences("alice")}


def test_money_made_from_nothing_is_found_by_the_total() -> None:
    deliver()
    # Two entries that agree with their accounts and each other, but not as the two sides of a transfer.
    tamper("bob", 2, kind="update")
    aws.client("dynamodb").update_item(
        TableName="ledger",
        Key={"user_id": {"S": "bob"}, "version": {"N": "2"}},
        UpdateExpression="REMOVE counterparty",
    )
    assert (None, None, "total") in list_differences()


def test_an_account_changed_behind_the_ledgers_back_is_found() -> None:
    deliver()
    aws.client("dynamodb").update_item(
        TableName="accounts",
        Key={"user_id": {"S": "bob"}},
        UpdateExpression="SET balance = :b",
        ExpressionAttributeValues={":b": {"N": "1000000"}},
    )
    assert ("bob", 3, "balance") in list_differences()


def test_an_unknown_user_cannot_be_verified() -> None:
    with pytest.raises(AccountNotFoundError):
        verify("ghost")


def test_a_single_gap_is_rebuilt_from_its_neighbours_and_marked() -> None:
    deliver()
    real = get_entry("alice:4")
    delete("alice", 4)

    (rebuilt,) = repair("alice")

    assert rebuilt == get_entry("alice:4")
    assert rebuilt.reconstructed
    assert (rebuilt.amount, rebuilt.prev_balance, rebuilt.balance_after) == (-5, 95, 90)
    assert (rebuilt.kind, rebuilt.at) == (real.kind, real.at)
    assert verify().clean


@pytest.mark.parametrize(("user", "version"), [("alice", 3), ("bob", 2), ("bob", 3)])
def test_a_side_of_a_transfer_is_rebuilt_with_the_other_sides_help(user: str, version: int) -> None:
    deliver()
    real = get_entry(f"{user}:{version}")
    delete(user, version)
    assert not verify().clean

    (rebuilt,) = repair(user)

    facts = (rebuilt.kind, rebuilt.counterparty, rebuilt.reference, rebuilt.request_id, rebuilt.amount)
    assert facts == (real.kind, real.counterparty, real.reference, real.request_id, real.amount)
    assert verify().clean


def test_the_first_and_the_last_entry_can_be_rebuilt_too() -> None:
    deliver()
    delete("alice", 1)
    delete("alice", 5)
    assert [(entry.version, entry.kind, entry.amount) for entry in repair("alice")] == [
        (1, "opening", 100),
        (5, "update", 1),
    ]
    assert get_entry("alice:5").request_id == "u3"
    assert verify().clean


def test_a_reversed_transfer_is_rebuilt_with_what_it_reverses() -> None:
    deliver()
    reverse("alice:3", request_id="rev")
    change_balance("bob", 1, request_id="u4")
    deliver()
    real = get_entry("bob:4")
    delete("bob", 4)
    (rebuilt,) = repair("bob")
    assert (rebuilt.reverses, rebuilt.kind) == (real.reverses, "reversal") == (get_entry("bob:2").name, "reversal")


def test_two_gaps_in_a_row_are_not_guessed() -> None:
    deliver()
    delete("alice", 2)
    delete("alice", 3)
    with pytest.raises(NotRepairableError):
        repair("alice")
    assert ("alice", 4, "gap") in list_differences("alice")


def test_entries_on_their_way_are_not_rebuilt() -> None:
    deliver("alice:5")
    with clock.fixed(lambda: START + 5):
        assert repair("alice") == []


def test_a_late_delivery_replaces_the_reconstruction_that_it_confirms() -> None:
    deliver()
    real = get_entry("alice:4")
    delete("alice", 4)
    repair("alice")

    deliver()

    assert get_entry("alice:4") == real
    assert not real.reconstructed


def test_an_export_holds_every_entry_once_with_decimal_amounts(monkeypatch: pytest.MonkeyPatch) -> None:
    deliver()
    reverse("alice:2", request_id="rev")
    deliver()
    monkeypatch.setattr("leaseway.ledger.export.PAGE", 3)

    def all_rows(user: str | None) -> list[dict[str, Any]]:
        rows, after = [], None
        while True:
            page = export(user, after)
            rows += page.entries
            after = page.after
            if after is None:
                return rows

    assert len({(row["user_id"], row["version"]) for row in all_rows(None)}) == len(all_rows(None)) == 11
    alice = all_rows("alice")
    assert [row["version"] for row in alice] == [1, 2, 3, 4, 5, 6]
    assert [Decimal(row["balance_after"]) for row in alice][:2] == [Decimal("1.00"), Decimal("1.25")]
    assert alice[0]["amount"] == "1.00"


def test_a_table_that_keeps_withholding_entries_makes_the_check_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a transfer whose other side DynamoDB never returns
    deliver()
    monkeypatch.setattr(clock, "sleep", lambda _: None)
    calls = 0

    def withhold(RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        nonlocal calls
        calls += 1
        assert calls < 20, "the read is repeated without a bound"
        return {"Responses": {}, "UnprocessedKeys": RequestItems}

    monkeypatch.setattr(aws.client("dynamodb"), "batch_get_item", withhold)
    # When the ledger is verified, then it gives up and reports no difference that it has not seen
    with pytest.raises(UnavailableError):
        verify()


def test_the_check_reports_counts_and_logs_each_difference(capsys: pytest.CaptureFixture[str]) -> None:
    deliver()
    assert check.handler({}, None)["clean"] is True
    delete("alice", 2)
    report = check.handler({"do": "verify", "user_id": "alice"}, None)
    assert (report["clean"], report["differences"]) == (False, len(report["listed"]))
    assert {"user_id": "alice", "version": 3, "kind": "gap"}.items() <= report["listed"][0].items()
    check.handler({}, None)
    printed = capsys.readouterr().out
    assert '"LedgerDifferences":[0.0]' in printed.replace(" ", "")
    assert '"LedgerDifferences"' in printed
    assert check.handler({"do": "repair", "user_id": "alice"}, None)["repaired"][0]["version"] == 2
    assert check.handler({"do": "repair", "user_id": "ghost"}, None)["error"]["code"] == "USER_NOT_FOUND"
    assert len(check.handler({"do": "export"}, None)["entries"]) == 10
    assert isinstance(get_entry("alice:2"), Entry)
