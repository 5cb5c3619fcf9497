"""An account is opened for a user only if the Admin names that user, however old the user's name is."""

import pytest

from leaseway.accounts import UserExistsError
from leaseway.accounts.model import AccountModel
from leaseway.dynamodb.table import Part
from leaseway.idempotency import IdempotencyKey
from leaseway.identity import (
    OwnerRequiredError,
    UsernameTakenError,
    UserNotFoundError,
    create_user,
    open_account,
    ownership,
    register,
)
from leaseway.identity.model import UserModel
from support.api_gateway import call, make_caller, post
from support.faulty_wire import lose_first_answer

pytestmark = pytest.mark.usefixtures("cloud")

GOOD = "orbit-lantern-mosaic"
KEYS = [None, IdempotencyKey("admin", "POST /api/users", "k-1")]


def test_a_stranger_who_registered_the_name_first_gets_no_money() -> None:
    # Given a stranger who registered a number that may become a customer's
    register("42", GOOD)
    # When the platform opens account 42 for its customer
    answer = post("/api/users", {"userId": 42, "balance": 1_000})
    # Then it learns that a user has the name, and there is no account to empty
    assert (answer.status, answer.json["code"], answer.json["owner"]) == (409, "OWNER_REQUIRED", "42")
    sent = post("/api/v1/transfers", {"from": "42", "to": "1", "amount": 1}, caller=make_caller("42"))
    assert sent.status == 404


def test_an_account_is_opened_for_the_user_whom_the_request_names() -> None:
    register("alice", GOOD)
    assert post("/api/users", {"userId": "alice", "balance": 5, "owner": "alice"}).status == 201
    assert AccountModel.read("alice")["owner"] == {"S": "alice"}  # type: ignore[index]
    assert (
        call("GET", "/api/users/{userId}/balance", path={"userId": "alice"}, caller=make_caller("alice")).status == 200
    )


@pytest.mark.parametrize(("owner", "status", "code"), [("alice", 404, "USER_NOT_FOUND"), ("bob", 400, "INVALID_INPUT")])
def test_an_owner_is_a_user_and_has_the_accounts_name(owner: str, status: int, code: str) -> None:
    register("bob", GOOD)
    answer = post("/api/users", {"userId": "alice", "owner": owner})
    assert (answer.status, answer.json["code"]) == (status, code)
    assert AccountModel.read("alice") is None


@pytest.mark.parametrize("key", KEYS)
def test_an_account_for_a_name_without_a_user_has_no_owner_and_keeps_its_name(key: IdempotencyKey | None) -> None:
    # Given an account that is opened as programs open them that know no users
    assert open_account("42", 1_000, owner=None, request_id="r", key=key).owner is None
    assert "owner" not in AccountModel.read("42")  # type: ignore[operator]
    # When a user registers its name, or an Admin gives it to a user, then it stays without one
    for create in (register, create_user):
        with pytest.raises(UsernameTakenError):
            create("42", GOOD)
    assert UserModel.read("42") is None


@pytest.mark.parametrize("key", KEYS)
def test_a_registration_that_is_committed_during_the_opening_wins(
    monkeypatch: pytest.MonkeyPatch, key: IdempotencyKey | None
) -> None:
    # Given an opening whose transaction is sent after a registration of the name was committed
    real = ownership._NameWithoutUser.build_part

    def register_first(self: ownership._NameWithoutUser, *after: object) -> Part:
        register("42", GOOD)
        return real(self, *after)  # type: ignore[arg-type]

    monkeypatch.setattr(ownership._NameWithoutUser, "build_part", register_first)
    # When it is sent, then there is a user and no account
    with pytest.raises(OwnerRequiredError):
        open_account("42", 1_000, owner=None, request_id="r", key=key)
    assert UserModel.read("42") is not None
    assert AccountModel.read("42") is None


@pytest.mark.parametrize("owner", [None, "alice"])
@pytest.mark.parametrize("key", KEYS)
def test_an_account_that_exists_is_reported_as_such(key: IdempotencyKey | None, owner: str | None) -> None:
    create_user("alice", GOOD)
    open_account("alice", 5, owner="alice", request_id="r")
    with pytest.raises(UserExistsError):
        open_account("alice", 900, owner=owner, request_id="s", key=key)


@pytest.mark.parametrize("key", KEYS)
def test_an_opening_whose_answer_is_lost_is_made_once(key: IdempotencyKey | None) -> None:
    with lose_first_answer("TransactWriteItems", attempts=1) as sent:
        account = open_account("42", 1_000, owner=None, request_id="r", key=key)
    assert sent.count("TransactWriteItems") == 2
    assert (account.balance, account.version) == (1_000, 1)


def test_a_key_returns_the_first_account_and_belongs_to_its_owner() -> None:
    key = KEYS[1]
    create_user("alice", GOOD)
    first = open_account("alice", 5, owner="alice", request_id="r", key=key)
    assert open_account("alice", 5, owner="alice", request_id="s", key=key) == first


def test_a_user_without_a_name_such_as_the_accounts_is_no_obstacle() -> None:
    with pytest.raises(UserNotFoundError):
        open_account("alice", owner="nobody", request_id="r")
    assert open_account("alice", owner=None, request_id="r").balance == 0
