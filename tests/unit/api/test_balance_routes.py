"""Balances over HTTP: names, exact decimals, refusals."""

import pytest

from support.api_gateway import ApiResponse, call, post

pytestmark = pytest.mark.usefixtures("cloud")


def balance_of(user: str) -> ApiResponse:
    return call("GET", "/api/users/{userId}/balance", path={"userId": user})


def test_an_account_opens_with_its_balance() -> None:
    # Given no account
    # When one is opened with a balance
    opened = post("/api/users", {"userId": "alice", "balance": "100.50"})
    # Then the answer and a later read show it, with two places
    assert opened.status == 201
    assert opened.headers["location"] == "users/alice/balance"
    assert '"balance":100.50,' in opened.text
    assert balance_of("alice").json == opened.json
    assert opened.json["version"] == 1


def test_an_account_that_exists_is_left_as_it_is() -> None:
    # Given an account
    post("/api/users", {"userId": "alice", "balance": 5})
    # When it is opened again
    again = post("/api/users", {"userId": "alice", "balance": 900})
    # Then that is refused and the balance stays
    assert (again.status, again.json["code"]) == (409, "USER_EXISTS")
    assert '"balance":5.00,' in balance_of("alice").text


def test_the_number_1_and_the_string_1_are_one_account() -> None:
    # Given an account opened with a number
    post("/api/users", {"userId": 1, "balance": 10})
    # When its balance is changed under the string
    changed = post("/api/users/update-balance", {"userId": "1", "amount": -2.5})
    # Then it is the same account
    assert (changed.status, changed.json["userId"], changed.json["version"]) == (200, "1", 2)
    assert '"balance":7.50,' in changed.text


@pytest.mark.parametrize("amount", ["0.1", "1e1", '"0.10"', "-0.30", "100e-2", "9999999999.99"])
def test_amounts_are_exact(amount: str) -> None:
    # Given a balance that binary floating point cannot hold
    post("/api/users", '{"userId": "bob", "balance": 0.30}')
    # When an amount is added and taken away again
    changed = post("/api/users/update-balance", f'{{"userId": "bob", "amount": {amount}}}')
    # Then not a hundredth is lost
    assert changed.status == 200
    opposite = f"-{amount}".replace("--", "") if amount[0] != '"' else '"-0.10"'
    back = post("/api/users/update-balance", f'{{"userId": "bob", "amount": {opposite}}}')
    assert '"balance":0.30,' in back.text


def test_a_change_below_zero_is_refused_with_the_balance() -> None:
    # Given 10.00
    post("/api/users", {"userId": "alice", "balance": 10})
    # When 10.01 is taken
    refused = post("/api/users/update-balance", {"userId": "alice", "amount": -10.01})
    # Then the problem has the balance, as an exact number
    assert refused.status == 409
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json["code"] == "INSUFFICIENT_FUNDS"
    assert '"balance":10.00' in refused.text


def test_an_unknown_user_is_not_found() -> None:
    # Given no account
    # When its balance is read and changed
    read, changed = balance_of("nobody"), post("/api/users/update-balance", {"userId": "nobody", "amount": 1})
    # Then both say so
    assert [(answer.status, answer.json["code"]) for answer in (read, changed)] == [(404, "USER_NOT_FOUND")] * 2


def test_ids_that_the_gateway_left_encoded_are_decoded() -> None:
    # Given an id with a character that clients escape
    post("/api/users", {"userId": "a@b.example", "balance": 1})
    # When the gateway hands the path over as it came
    answer = balance_of("a%40b.example")
    # Then the account is found
    assert (answer.status, answer.json["userId"]) == (200, "a@b.example")
