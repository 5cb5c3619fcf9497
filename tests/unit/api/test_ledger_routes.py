"""The ledger, transfers, reversals and idempotency keys over HTTP."""

import uuid
from typing import Any

import pytest

from leaseway import aws, clock
from leaseway.jobs.run import claim, finish
from leaseway.jobs.table import JobModel
from leaseway.ledger.stream import record_changes
from leaseway.settings import settings
from support.account_stream import read_stream_records
from support.api_gateway import ADMIN, ApiResponse, call, make_caller, post
from support.call_meter import meter_calls
from support.expired_keys import expire_keys

TRANSFERS = "/api/v1/transfers"
UPDATE = "/api/users/update-balance"


@pytest.fixture(autouse=True)
def _accounts(cloud: None) -> None:
    post("/api/users", {"userId": "alice", "balance": "100.00"})
    post("/api/users", {"userId": "bob", "balance": "1.00"})


def deliver() -> None:
    record_changes(read_stream_records())


def with_key(text: str) -> dict[str, Any]:
    return {"headers": {"Idempotency-Key": text}}


def ledger_of(user: str, **query: str) -> ApiResponse:
    listed = {name.rstrip("_"): [value] for name, value in query.items()}
    return call("GET", "/api/users/{userId}/ledger", path={"userId": user}, query=listed or None)


def balance_of(user: str, at: str | None = None) -> ApiResponse:
    query = {"at": [at]} if at else None
    return call("GET", "/api/users/{userId}/balance", path={"userId": user}, query=query)


def reverse(entry: str, body: str | None = None) -> ApiResponse:
    request_id = uuid.uuid4().hex  # the gateway never gives one twice
    return call("POST", "/api/v1/ledger/{entry}/reversal", path={"entry": entry}, body=body, request_id=request_id)


def test_a_repeated_request_gets_the_first_answer() -> None:
    # Given a change made under a key
    first = post(UPDATE, {"userId": "alice", "amount": 5}, request_id="one", **with_key("k-1"))
    post(UPDATE, {"userId": "alice", "amount": 7})
    # When it is sent again, with the amount written otherwise
    again = post(UPDATE, {"userId": "alice", "amount": "5.00"}, request_id="two", **with_key("k-1"))
    # Then the answer is the same, and only the request's own id differs
    assert (again.status, again.text) == (first.status, first.text)
    assert again.headers["x-request-id"] == "two"
    assert '"balance":112.00,' in balance_of("alice").text


def test_a_repeated_refusal_is_the_same_refusal() -> None:
    body = {"userId": "bob", "amount": -5}
    refused = post(UPDATE, body, **with_key("k-1"))
    post(UPDATE, {"userId": "bob", "amount": 100})
    again = post(UPDATE, body, **with_key("k-1"))
    assert (again.status, again.text) == (refused.status, refused.text) == (409, refused.text)
    assert '"balance":1.00' in again.text


def test_a_key_with_another_body_is_422() -> None:
    post(UPDATE, {"userId": "alice", "amount": 5}, **with_key("k-1"))
    answer = post(UPDATE, {"userId": "alice", "amount": 6}, **with_key("k-1"))
    assert (answer.status, answer.json["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


@pytest.mark.parametrize("text", ["", " ", "a b", "x" * 256, "schlüssel", "a\tb"])
def test_an_unfit_key_is_400(text: str) -> None:
    answer = post(UPDATE, {"userId": "alice", "amount": 5}, **with_key(text))
    assert (answer.status, answer.json["field"]) == (400, "Idempotency-Key")
    assert '"balance":100.00,' in balance_of("alice").text


def test_callers_and_routes_do_not_share_keys() -> None:
    post(UPDATE, {"userId": "alice", "amount": 5}, **with_key("k-1"))
    assert post(TRANSFERS, {"from": "alice", "to": "bob", "amount": 5}, **with_key("k-1")).status == 200
    mallory = ADMIN | {"subject": "mallory"}
    assert post(UPDATE, {"userId": "alice", "amount": 6}, caller=mallory, **with_key("k-1")).status == 200


def test_an_account_is_opened_once_under_a_key() -> None:
    opened = post("/api/users", {"userId": "carol", "balance": 3}, **with_key("k-1"))
    again = post("/api/users", {"userId": "carol", "balance": "3.00"}, **with_key("k-1"))
    assert (again.status, again.text, again.headers["location"]) == (201, opened.text, "users/carol/balance")


def test_a_transfer_moves_money_and_names_its_entries() -> None:
    answer = post(TRANSFERS, {"from": "alice", "to": "bob", "amount": 12.5, "reference": "rent"}, **with_key("k-1"))
    assert answer.status == 200
    assert [answer.json[name] for name in ("from", "to", "reference", "currency")] == ["alice", "bob", "rent", "EUR"]
    assert '"amount":12.50,' in answer.text
    assert '"balance":87.50,' in answer.text
    assert '"balance":13.50,' in balance_of("bob").text
    again = post(TRANSFERS, {"from": "alice", "to": "bob", "amount": "12.50", "reference": "rent"}, **with_key("k-1"))
    assert again.text == answer.text
    deliver()
    out, into = (ledger_of(user).json["content"][0] for user in ("alice", "bob"))
    assert (out["entry"], into["entry"]) == (answer.json["from_entry"], answer.json["to_entry"])
    assert (out["counterparty"], into["counterparty"]) == (into["entry"], out["entry"])
    assert out["transfer_id"] == into["transfer_id"]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"to": "alice"}, 400, "SAME_ACCOUNT"),
        ({"amount": 0}, 400, "INVALID_INPUT"),
        ({"amount": -1}, 400, "INVALID_INPUT"),
        ({"amount": 0.001}, 400, "INVALID_INPUT"),
        ({"to": "?"}, 400, "INVALID_INPUT"),
        ({"to": "ghost"}, 404, "USER_NOT_FOUND"),
        ({"from": "ghost"}, 404, "USER_NOT_FOUND"),
        ({"amount": 100.01}, 409, "INSUFFICIENT_FUNDS"),
        ({"note": "?"}, 400, "INVALID_INPUT"),
    ],
)
def test_unfit_transfers_are_refused(change: dict[str, Any], status: int, code: str) -> None:
    answer = post(TRANSFERS, {"from": "alice", "to": "bob", "amount": 1} | change)
    assert (answer.status, answer.json["code"]) == (status, code)
    assert '"balance":100.00,' in balance_of("alice").text


def test_a_user_sends_from_the_own_account_only() -> None:
    refused = post(TRANSFERS, {"from": "alice", "to": "bob", "amount": 1}, caller=make_caller("bob"))
    assert (refused.status, refused.json["code"]) == (403, "FORBIDDEN")
    assert post(TRANSFERS, {"from": "bob", "to": "alice", "amount": 1}, caller=make_caller("bob")).status == 200


def test_a_ledger_is_listed_newest_first_with_a_cursor() -> None:
    for amount in (1, 2, 3):
        post(UPDATE, {"userId": "alice", "amount": amount, "reference": f"r{amount}"}, request_id=f"req-{amount}")
    deliver()
    first = ledger_of("alice", size="3")
    assert first.status == 200
    rows = [(entry["version"], entry["amount"], entry["kind"], entry["reference"]) for entry in first.json["content"]]
    assert rows == [(4, 3, "update", "r3"), (3, 2, "update", "r2"), (2, 1, "update", "r1")]
    assert '"balance_after":106.00,' in first.text
    newest = first.json["content"][0]
    assert (newest["entry"], newest["request_id"], newest["actor"]) == ("alice:4", "req-3", "admin")
    rest = ledger_of("alice", size="3", cursor=first.json["cursor"]).json
    assert [entry["kind"] for entry in rest["content"]] == ["opening"]
    assert rest["cursor"] is None
    assert [entry["version"] for entry in ledger_of("alice", reference="r2").json["content"]] == [3]
    assert ledger_of("alice", to_="2020-01-01T00:00:00Z").json["content"] == []
    assert len(ledger_of("alice", from_="2020-01-01T00:00:00+01:00").json["content"]) == 4


@pytest.mark.parametrize("query", [{"from_": "yesterday"}, {"to_": "2020-01-01"}, {"to_": "2020-01-01T00:00:00"},
                                   {"size": "0"}, {"size": "101"}, {"cursor": "x"}, {"since": "1"},
                                   {"to_": "2020-13-01T00:00:00Z"}])  # fmt: skip
def test_unfit_ledger_queries_are_400(query: dict[str, str]) -> None:
    assert ledger_of("alice", **query).status == 400


def test_a_ledger_of_an_unknown_user_is_404() -> None:
    assert ledger_of("ghost").json["code"] == "USER_NOT_FOUND"


def test_the_balance_at_a_time_is_read() -> None:
    deliver()
    opened = balance_of("alice").json["updated_at"]
    post(UPDATE, {"userId": "alice", "amount": 5})
    deliver()
    then = balance_of("alice", at=opened)
    assert '"balance":100.00,' in then.text
    assert (then.json["version"], then.json["updated_at"]) == (1, opened)
    assert balance_of("alice", at="2020-01-01T00:00:00Z").status == 404
    assert balance_of("alice", at="2999-01-01T00:00:00Z").json["field"] == "at"
    assert balance_of("alice", at="9999-12-31T23:59:59-14:00").status == 400


def test_a_moment_that_the_ledger_has_not_reached_is_503_and_says_when_to_ask_again() -> None:
    opened = balance_of("alice").json["updated_at"]
    post(UPDATE, {"userId": "alice", "amount": 5})
    answer = balance_of("alice", at=opened)
    assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, "LEDGER_BEHIND", "1")


@pytest.mark.parametrize("reference", ["", "a\n", "\0", "a\tb", "\x7f", "x" * 201])
def test_a_reference_that_no_entry_can_have_is_refused_in_a_filter(reference: str) -> None:
    post("/api/users", {"userId": "alice"})
    answer = ledger_of("alice", reference=reference)
    assert (answer.status, answer.json["field"]) == (400, "reference")


@pytest.mark.parametrize("body", [None, "{}", '{"reference": "entered twice"}'])
def test_a_reversal_is_made_once_and_the_second_names_the_first(body: str | None) -> None:
    post(UPDATE, {"userId": "alice", "amount": 5})
    deliver()
    first = reverse("alice:2", body)
    assert (first.status, first.json["reversed"], first.json["entries"]) == (201, "alice:2", ["alice:3"])
    again = reverse("alice:2", body)
    assert (again.status, again.json["code"], again.json["reversal"]) == (409, "ALREADY_REVERSED", "alice:3")
    assert '"balance":100.00,' in balance_of("alice").text
    deliver()
    assert ledger_of("alice").json["content"][0]["reverses"] == "alice:2"


def test_a_reversal_of_nothing_is_404_and_of_a_reversal_409() -> None:
    post(UPDATE, {"userId": "alice", "amount": 5})
    deliver()
    reverse("alice:2")
    deliver()
    assert reverse("alice:9").json["code"] == "ENTRY_NOT_FOUND"
    assert reverse("alice%3A3").json["code"] == "NOT_REVERSIBLE"


def test_a_currency_without_places_speaks_in_whole_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURRENCY", "JPY")
    monkeypatch.setenv("CURRENCY_EXPONENT", "0")
    settings.cache_clear()
    opened = post("/api/users", {"userId": "kenji", "balance": 500})
    assert '"balance":500,"currency":"JPY"' in opened.text
    assert post(UPDATE, {"userId": "kenji", "amount": 0.5}).status == 400


def test_the_limit_of_a_request_and_of_an_account_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMOUNT_LIMIT", "5000")
    monkeypatch.setenv("BALANCE_LIMIT", "12000")
    settings.cache_clear()
    assert post(UPDATE, {"userId": "alice", "amount": 50.01}).status == 400
    refused = post(UPDATE, {"userId": "alice", "amount": 20.01})
    assert (refused.status, refused.json["code"]) == (409, "BALANCE_LIMIT")
    assert post(UPDATE, {"userId": "alice", "amount": 20}).status == 200


def job(text: str, duration: int = 5, caller: dict[str, str] = ADMIN, **more: Any) -> ApiResponse:
    body = {"type": "SLEEP", "payload": {"duration_ms": duration}, **more}
    return post("/api/v1/jobs", body, caller=caller, **with_key(text))


def messages() -> int:
    url = settings().jobs_queue_url
    attributes = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    return int(attributes["Attributes"]["ApproximateNumberOfMessages"])


def test_a_keyed_job_is_made_once_at_the_cost_of_a_refused_transaction() -> None:
    first = job("k-1")
    with meter_calls() as meter:
        again = job("k-1")
    assert (again.status, again.text) == (first.status, first.text)
    assert dict(meter.operations()) == {"dynamodb.TransactWriteItems": 1}
    assert (meter.write_units(), meter.read_units(), messages()) == (4, 0, 1)


def test_a_keyed_job_is_put_with_its_keys_record_in_one_transaction() -> None:
    with meter_calls() as meter:
        job("k-1")
    assert dict(meter.operations()) == {"dynamodb.TransactWriteItems": 1, "sqs.SendMessageBatch": 1}
    assert meter.write_units() == 6


@pytest.mark.parametrize("change", [{"duration": 6}, {"ttl_ms": 500}, {"max_attempts": 1}])
def test_a_key_of_another_job_is_422(change: dict[str, Any]) -> None:
    job("k-1")
    answer = job("k-1", **change)
    assert (answer.status, answer.json["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


def test_a_delayed_job_is_repeated_as_it_was_created() -> None:
    with clock.fixed(lambda: 1_900_000_000):
        first = job("k-1", delay_seconds=60)
        timed = job("k-2", run_at="2030-03-17T18:00:00Z")
    with clock.fixed(lambda: 1_900_000_500):
        assert job("k-1", delay_seconds=60).text == first.text
        assert job("k-2", run_at="2030-03-17T18:00:00Z").text == timed.text
    assert first.json["run_after"] == "2030-03-17T17:47:40.000Z"
    assert timed.status == 202


def test_a_job_that_was_retried_by_hand_is_repeated_as_it_was_created() -> None:
    first = job("k-1", max_attempts=1)
    claimed = claim.claim(first.json["id"], "me")
    assert isinstance(claimed, claim.Claimed)
    finish.fail(claimed.lease, "the moon was in the way")
    retried = call("POST", "/api/v1/jobs/{id}/retry", path={"id": first.json["id"]})
    assert (retried.status, retried.json["max_attempts"]) == (202, 2)
    assert job("k-1", max_attempts=1).text == first.text


def test_a_neighbour_with_the_same_key_gets_a_job_of_its_own() -> None:
    mine = job("k-1").json
    theirs = job("k-1", caller=make_caller("mallory")).json
    assert theirs["id"] != mine["id"]
    assert theirs["owner"] == "mallory"


def test_a_large_payload_of_another_request_leaves_the_first_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INLINE_BYTES", "256")
    settings.cache_clear()

    def wide(text: str) -> ApiResponse:
        payload = {"url": f"https://example.com/{text * 300}"}
        return post("/api/v1/jobs", {"type": "HTTP_GET", "payload": payload}, **with_key("k-1"))

    first = wide("a")
    assert first.status == 202
    assert wide("b").status == 422
    read = call("GET", "/api/v1/jobs/{id}", path={"id": first.json["id"]})
    assert read.json["payload"] == first.json["payload"]


def test_a_key_that_expired_is_free_once_its_job_has_expired_too() -> None:
    first = job("k-1").json
    model = JobModel.get(first["id"])
    model.update([JobModel.expires_at.set(1)])
    expire_keys()
    assert job("k-1", duration=9).status == 202
