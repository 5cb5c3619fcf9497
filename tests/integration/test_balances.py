"""Balances on the deployed stack: through the gateway, from many sides at once."""

import asyncio
import secrets

import pytest

from benchmarks.stress_balance import debit, is_exact
from leaseway_local.connection.api_client import ApiProblem
from support.deployed_stacks import DeployedStack


@pytest.fixture
def user() -> str:
    """The id of a user that no other test has."""
    return f"user-{secrets.token_hex(6)}"


def test_a_deployment_has_a_first_account_with_10_000(stack: DeployedStack) -> None:
    account = stack.api.get("/api/users/1/balance")

    assert (account["userId"], account["balance"], account["version"]) == ("1", 10_000, 1)


def test_debits_from_many_sides_take_exactly_what_there_is(stack: DeployedStack, user: str) -> None:
    # Given an account with 400 and 400 debits of 2, of which twenty are under way at any time
    outcome = asyncio.run(debit(stack.outputs.api_url, user, token=stack.admin.token(), requests=400, at_a_time=20))

    # Then half of them were granted, half were refused, and nothing is left
    assert dict(outcome.statuses) == {200: 200, 409: 200}
    assert outcome.balance == 0
    assert is_exact(outcome)


def test_the_number_and_the_text_name_the_same_account(stack: DeployedStack) -> None:
    number = secrets.randbelow(10**9) + 10
    stack.api.post("/api/users", {"userId": number, "balance": "5.00"})

    changed = stack.api.post("/api/users/update-balance", {"userId": str(number), "amount": "0.50"})

    assert changed["userId"] == str(number)
    assert stack.api.post("/api/users/update-balance", {"userId": number, "amount": 0.25})["balance"] == 5.75


def test_a_user_opens_one_account_only(stack: DeployedStack, user: str) -> None:
    stack.api.post("/api/users", {"userId": user, "balance": 3})

    with pytest.raises(ApiProblem) as refusal:
        stack.api.post("/api/users", {"userId": user, "balance": 1_000})

    assert (refusal.value.status, refusal.value.code) == (409, "USER_EXISTS")
    assert stack.api.get(f"/api/users/{user}/balance")["balance"] == 3


def test_a_refused_debit_has_the_balance_and_changes_nothing(stack: DeployedStack, user: str) -> None:
    stack.api.post("/api/users", {"userId": user, "balance": "10.10"})

    with pytest.raises(ApiProblem) as refusal:
        stack.api.post("/api/users/update-balance", {"userId": user, "amount": "-10.11"})

    assert (refusal.value.status, refusal.value.code) == (409, "INSUFFICIENT_FUNDS")
    assert refusal.value.document["balance"] == 10.10
    assert stack.api.get(f"/api/users/{user}/balance")["version"] == 1


def test_a_user_without_an_account_cannot_be_paid(stack: DeployedStack, user: str) -> None:
    with pytest.raises(ApiProblem) as refusal:
        stack.api.post("/api/users/update-balance", {"userId": user, "amount": 1})

    assert (refusal.value.status, refusal.value.code) == (404, "USER_NOT_FOUND")
