"""The ledger against DynamoDB in memory: one entry a version, whatever the stream does, and statements made of them."""

import copy
import random
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from leaseway import clock
from leaseway.accounts import AccountNotFoundError, change_balance, create_account, get_account, transfer
from leaseway.cursors import InvalidCursorError
from leaseway.errors import InvalidInputError
from leaseway.ledger import Entry, LedgerBehindError, balance_at, get_entry, page_of_entries
from leaseway.ledger.entries import entries_of
from leaseway.ledger.statements import EntrySelection
from leaseway.ledger.stream import LedgerMismatchError, RecordingReport, record_changes
from leaseway.settings import settings
from ledger import app
from support.account_stream import read_stream_records
from support.call_meter import meter_calls

pytestmark = pytest.mark.usefixtures("cloud")

START = 1_700_000_000


def entries(user: str) -> list[Entry]:
    return list(entries_of(user, 1, 10**9))


def history(*amounts: int, user: str = "1") -> None:
    """An account opened with 100 at START; one change each ten seconds after that."""
    with clock.fixed(lambda: START):
        create_account(user, 100, request_id=f"{user}-open", actor="admin")
    for number, amount in enumerate(amounts, start=1):
        with clock.fixed(lambda at=START + 10 * number: at):
            change_balance(user, amount, request_id=f"{user}-{number}", reference=f"note-{number % 2}")


def test_every_version_becomes_one_entry_that_explains_it() -> None:
    history(-30, 5)

    report = record_changes(read_stream_records())

    assert report == RecordingReport(written=3, repeated=0, skipped=0)
    assert entries("1") == [
        Entry(user_id="1", version=1, amount=100, prev_balance=0, balance_after=100, kind="opening",
              at=START * 1000, request_id="1-open", actor="admin"),
        Entry(user_id="1", version=2, amount=-30, prev_balance=100, balance_after=70, kind="update",
              at=(START + 10) * 1000, request_id="1-1", reference="note-1"),
        Entry(user_id="1", version=3, amount=5, prev_balance=70, balance_after=75, kind="update",
              at=(START + 20) * 1000, request_id="1-2", reference="note-0"),
    ]  # fmt: skip
    assert get_entry("1:3").balance_after == get_account("1", owner=None).balance


def test_repeated_and_reordered_deliveries_change_nothing() -> None:
    history(-30, 5, 7, -1)
    stream = read_stream_records()
    random.Random(4).shuffle(stream)

    record_changes(stream[:3])
    assert record_changes(stream) == RecordingReport(written=2, repeated=3, skipped=0)
    before = entries("1")
    record_changes(reversed(stream))

    assert entries("1") == before
    assert [entry.version for entry in before] == [1, 2, 3, 4, 5]


def test_a_different_entry_is_never_overwritten_and_calls_for_help() -> None:
    history(-30)
    record_changes(read_stream_records())
    forged = copy.deepcopy(read_stream_records())
    forged[1]["dynamodb"]["NewImage"]["last_entry"]["M"]["reference"] = {"S": "forged"}

    with pytest.raises(LedgerMismatchError, match="1:2"):
        record_changes(forged)
    assert entries("1")[1].reference == "note-1"


@pytest.mark.parametrize("name", ["balance", "version"])
def test_a_change_that_does_not_explain_itself_is_not_recorded(name: str) -> None:
    history(-30)
    stream = read_stream_records()
    stream[1]["dynamodb"]["NewImage"][name] = {"N": "77"}

    with pytest.raises(LedgerMismatchError, match="last_entry"):
        record_changes(stream)
    assert [entry.version for entry in entries("1")] == [1]


def test_a_bad_record_holds_back_nothing_but_itself() -> None:
    history(-30, 5)
    stream = read_stream_records()
    del stream[1]["dynamodb"]["NewImage"]["last_entry"]

    with pytest.raises(LedgerMismatchError):
        record_changes(stream)
    assert [entry.version for entry in entries("1")] == [1, 3]


def test_bisection_corners_the_bad_record_and_it_blocks_what_is_behind_it_for_good() -> None:
    """The engine of the integration tests ignores bisection, so Lambda's part is played here."""
    history(1, 2, 3, 4, 5, 6)
    stream = read_stream_records()
    del stream[4]["dynamodb"]["NewImage"]["last_entry"]
    tried: list[int] = []

    def mapping(batch: list[dict]) -> bool:
        tried.append(len(batch))
        try:
            app.handler({"Records": batch}, None)
        except LedgerMismatchError:
            half = len(batch) // 2
            return bool(half) and mapping(batch[:half]) and mapping(batch[half:])
        return True

    assert mapping(stream) is False
    assert tried[-1] == 1, "cornered"
    assert [entry.version for entry in entries("1")] == [1, 2, 3, 4, 6, 7]
    assert mapping(stream[4:]) is False, "delivered for ever, and never skipped"


def test_a_mismatch_is_logged_and_counted(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    history(1)
    stream = read_stream_records()
    stream[1]["dynamodb"]["NewImage"]["balance"] = {"N": "77"}
    with pytest.raises(LedgerMismatchError):
        app.handler({"Records": stream}, None)
    printed = capsys.readouterr().out.replace(" ", "")
    assert '"LedgerMismatches":[1.0]' in printed
    assert [entry.message for entry in caplog.records if entry.levelname == "ERROR"] == ["ledger mismatch"]


def test_a_table_that_does_not_answer_fails_the_batch_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    history(1, 2)
    monkeypatch.setattr("leaseway.ledger.stream.write", _unreachable)
    with pytest.raises(EndpointConnectionError):
        app.handler({"Records": read_stream_records()}, None)
    monkeypatch.undo()
    settings.cache_clear()


def _unreachable(entry: Entry) -> str:
    raise EndpointConnectionError(endpoint_url="here")


def test_a_change_of_something_else_makes_no_entry() -> None:
    history()
    record = read_stream_records()[0]
    image = record["dynamodb"]["NewImage"]
    record["dynamodb"]["OldImage"] = {**image, "note": {"S": "x"}}
    assert record_changes([record]) == RecordingReport(written=0, repeated=0, skipped=1)


def test_the_two_entries_of_a_transfer_name_each_other() -> None:
    history()
    history(user="2")
    transfer("1", "2", 30, owner=None, request_id="t", reference="rent")
    record_changes(read_stream_records())

    out, into = get_entry("1:2"), get_entry("2:2")
    assert (out.amount, out.counterparty) == (-30, into.name)
    assert (into.amount, into.counterparty) == (30, out.name)
    assert out.kind == into.kind == "transfer"


def test_an_entry_costs_one_write_also_when_it_is_delivered_again() -> None:
    history(-30)
    stream = read_stream_records()
    for _ in range(2):
        with meter_calls() as meter:
            record_changes(stream)
        assert dict(meter.operations()) == {"dynamodb.PutItem": 2}
        assert (meter.write_units(), meter.read_units()) == (2, 0)


def test_a_statement_is_newest_first_and_goes_on_where_it_ended() -> None:
    history(*range(1, 8))
    record_changes(read_stream_records())

    first = page_of_entries("1", EntrySelection(), owner=None, size=3)
    second = page_of_entries("1", EntrySelection(), owner=None, size=3, cursor=first.cursor)
    change_balance("1", 1, request_id="later")
    record_changes(read_stream_records())
    third = page_of_entries("1", EntrySelection(), owner=None, size=3, cursor=second.cursor)

    pages = [[entry.version for entry in page.entries] for page in (first, second, third)]
    assert pages == [[8, 7, 6], [5, 4, 3], [2, 1]]
    assert third.cursor is None


def test_a_statement_is_read_in_proportion_to_its_page() -> None:
    history(*[1] * 40)
    record_changes(read_stream_records())
    page_of_entries("1", EntrySelection(), owner=None, size=1)  # reads the cursors' secret
    with meter_calls() as meter:
        page_of_entries("1", EntrySelection(), owner=None, size=5)
    assert meter.keys() == 1 + 6


def test_a_statement_may_be_of_a_span_of_time_and_of_a_reference() -> None:
    history(*range(1, 10))
    record_changes(read_stream_records())

    def versions(**limits: Any) -> list[int]:
        return [entry.version for entry in page_of_entries("1", EntrySelection(**limits), owner=None, size=100).entries]

    assert versions(since=(START + 30) * 1000, until=(START + 60) * 1000) == [7, 6, 5, 4]
    assert versions(until=(START + 9) * 1000) == [1]
    assert versions(since=(START + 91) * 1000) == []
    assert versions(reference="note-0") == [9, 7, 5, 3]
    assert versions(reference="note-0", since=(START + 70) * 1000) == [9]


def test_a_filtered_statement_is_paged_without_holes() -> None:
    history(*[1] * 30)
    record_changes(read_stream_records())
    versions, cursor = [], None
    while True:
        page = page_of_entries("1", EntrySelection(reference="note-1"), owner=None, size=4, cursor=cursor)
        versions += [entry.version for entry in page.entries]
        cursor = page.cursor
        if cursor is None:
            break
    assert versions == list(range(30, 1, -2))


def test_a_cursor_belongs_to_its_list() -> None:
    history(1, 1, 1)
    history(user="2")
    record_changes(read_stream_records())
    cursor = page_of_entries("1", EntrySelection(), owner=None, size=1).cursor
    for user, selection in (("2", EntrySelection()), ("1", EntrySelection(reference="note-1"))):
        with pytest.raises(InvalidCursorError):
            page_of_entries(user, selection, owner=None, size=1, cursor=cursor)


def test_an_unknown_user_has_no_statement_and_a_new_one_an_empty_one() -> None:
    with pytest.raises(AccountNotFoundError):
        page_of_entries("ghost", EntrySelection(), owner=None, size=5)
    history()
    assert page_of_entries("1", EntrySelection(), owner=None, size=5).entries == []
    with pytest.raises(InvalidInputError):
        page_of_entries("1", EntrySelection(), owner=None, size=101)


def test_the_balance_at_a_moment_is_that_of_the_last_change_by_then() -> None:
    history(*range(1, 20))
    record_changes(read_stream_records())
    expected = {0: 100, 9: 100, 10: 101, 15: 101, 20: 103, 100: 155, 189: 271, 190: 290, 500: 290}
    for seconds, balance in expected.items():
        account = (
            balance_at("1", (START + seconds) * 1000, owner=None)
            if seconds < 500
            else balance_at("1", clock.now_ms(), owner=None)
        )
        assert account.balance == balance, seconds


def test_before_its_opening_an_account_had_no_balance_and_the_future_has_none() -> None:
    history(1)
    record_changes(read_stream_records())
    with pytest.raises(AccountNotFoundError):
        balance_at("1", START * 1000 - 1, owner=None)
    with clock.fixed(lambda: START + 100), pytest.raises(InvalidInputError):
        balance_at("1", (START + 101) * 1000, owner=None)


def test_a_moment_whose_entries_are_on_their_way_is_not_guessed() -> None:
    history(1, 2, 3)
    stream = read_stream_records()
    record_changes(stream[:2])
    assert balance_at("1", (START + 5) * 1000, owner=None).balance == 100
    with pytest.raises(LedgerBehindError):
        balance_at("1", (START + 25) * 1000, owner=None)
    record_changes(stream[3:])
    with pytest.raises(LedgerBehindError):
        balance_at("1", (START + 25) * 1000, owner=None)


def test_the_balance_at_a_moment_is_found_by_halving() -> None:
    history(*[1] * 60)
    record_changes(read_stream_records())
    with meter_calls() as meter:
        balance_at("1", (START + 203) * 1000, owner=None)
    assert meter.keys() <= 1 + 2 + 6
