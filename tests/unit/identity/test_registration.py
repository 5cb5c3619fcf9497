"""Who may register, invitations, and what the transaction of a new user holds against."""

import json

import pytest
from botocore.exceptions import ClientError

from leaseway import aws
from leaseway.accounts import create_account
from leaseway.identity import (
    InvitationRefusedError,
    InvitationRequiredError,
    RegistrationClosedError,
    Role,
    UsernameTakenError,
    create_user,
    invite,
    passwords,
    register,
    sign_in,
)
from leaseway.identity.model import UserModel
from leaseway.identity.registration import ensure_admin
from leaseway.settings import Settings, settings
from support.call_meter import meter_calls
from support.fake_clock import FakeClock
from support.faulty_wire import intercept_calls, lose_first_answer

GOOD = "orbit-lantern-mosaic"


def set_registration(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.setenv("REGISTRATION", mode)
    settings.cache_clear()


def refuse_to_hash(password: str) -> str:
    raise AssertionError("a hash was computed")


def test_a_function_without_the_setting_is_closed() -> None:
    assert Settings().registration == "closed"


@pytest.mark.usefixtures("cloud")
def test_a_closed_deployment_refuses_without_a_call_and_without_a_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a deployment without open registration, and an invitation
    set_registration(monkeypatch, "closed")
    code = invite(actor="admin").text
    monkeypatch.setattr(passwords, "hash_password", refuse_to_hash)
    # When a new user registers, with the invitation or without
    for invitation in (None, code):
        with meter_calls() as meter, pytest.raises(RegistrationClosedError):
            register("alice", GOOD, invitation=invitation)
        # Then nothing is called, computed or written
        assert meter.operations() == {}
    assert UserModel.read("alice") is None


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize("mode", ["open", "invited", "closed"])
def test_an_admin_creates_users_in_every_mode(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    set_registration(monkeypatch, mode)
    assert create_user("worker-7", GOOD, role=Role.WORKER).role is Role.WORKER
    assert sign_in("worker-7", GOOD).username == "worker-7"
    assert ensure_admin("admin", GOOD)


@pytest.mark.usefixtures("cloud")
def test_an_invitation_admits_one_registration(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a deployment that admits those with an invitation
    set_registration(monkeypatch, "invited")
    with pytest.raises(InvitationRequiredError):
        register("alice", GOOD)
    code = invite(actor="admin").text
    # When it is used twice
    register("alice", GOOD, invitation=code)
    with pytest.raises(InvitationRefusedError):
        register("bob", GOOD, invitation=code)
    # Then it made one user
    assert sign_in("alice", GOOD).role is Role.USER
    assert UserModel.read("bob") is None


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize("mode", ["open", "invited"])
def test_two_registrations_with_one_invitation_make_one_user(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    # Given two requests with one invitation, both of which have seen it valid
    set_registration(monkeypatch, mode)
    code = invite(actor="admin").text
    real = passwords.hash_password

    def register_another_first(password: str) -> str:
        monkeypatch.setattr(passwords, "hash_password", real)
        register("bob", GOOD, invitation=code)
        return real(password)

    monkeypatch.setattr(passwords, "hash_password", register_another_first)
    # When the second commits first, then the other creates no user
    with pytest.raises(InvitationRefusedError):
        register("alice", GOOD, invitation=code)
    assert UserModel.read("alice") is None
    assert UserModel.read("bob") is not None


def test_an_invitation_expires(fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    set_registration(monkeypatch, "invited")
    code = invite(actor="admin").text
    fake_clock.move(hours=24)
    with pytest.raises(InvitationRefusedError):
        register("alice", GOOD, invitation=code)


@pytest.mark.usefixtures("cloud")
def test_an_invitation_for_a_name_admits_no_other() -> None:
    code = invite(actor="admin", username="alice").text
    with pytest.raises(InvitationRefusedError):
        register("mallory", GOOD, invitation=code)
    assert register("alice", GOOD, invitation=code).username == "alice"


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize("code", ["", "made-up", "x" * 100_000, "\ud800", "#", "alice"])
def test_an_unknown_invitation_is_refused_before_a_hash_is_computed(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    register("alice", GOOD)
    set_registration(monkeypatch, "invited")
    monkeypatch.setattr(passwords, "hash_password", refuse_to_hash)
    with pytest.raises(InvitationRefusedError):
        register("bob", GOOD, invitation=code)


@pytest.mark.usefixtures("cloud")
def test_the_table_holds_no_code() -> None:
    code = invite(actor="admin").text
    assert code not in json.dumps(aws.client("dynamodb").scan(TableName="users")["Items"])


@pytest.mark.usefixtures("cloud")
def test_an_account_that_is_opened_while_its_name_registers_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a registration that computes its hash while an Admin opens the account
    real = passwords.hash_password

    def open_the_account_first(password: str) -> str:
        create_account("42", 1_000, request_id="open")
        return real(password)

    monkeypatch.setattr(passwords, "hash_password", open_the_account_first)
    # When it goes on
    with pytest.raises(UsernameTakenError):
        register("42", GOOD)
    # Then no account has the money
    assert UserModel.read("42") is None


@pytest.mark.usefixtures("cloud")
def test_a_registration_whose_answer_is_lost_is_made() -> None:
    # Given a wire that loses the answer of the transaction after it was applied
    with lose_first_answer("TransactWriteItems", attempts=1) as sent:
        user = register("alice", GOOD, invitation=invite(actor="admin").text)
    # Then the repeat finds the user that it has made
    assert sent.count("TransactWriteItems") == 2
    assert (user.username, sign_in("alice", GOOD)) == ("alice", user)


@pytest.mark.usefixtures("cloud")
def test_a_lost_answer_does_not_hide_that_the_name_is_anothers() -> None:
    create_user("alice", "another-long-password")
    with lose_first_answer("TransactWriteItems", attempts=1), pytest.raises(UsernameTakenError):
        register("alice", GOOD)
    assert sign_in("alice", "another-long-password")


@pytest.mark.usefixtures("cloud")
def test_registering_costs_one_transaction_and_an_invitation_a_read_more() -> None:
    code = invite(actor="admin").text
    with meter_calls() as without:
        register("alice", GOOD)
    with meter_calls() as invited:
        register("bob", GOOD, invitation=code)
    assert without.operations() == {"dynamodb.TransactWriteItems": 1}
    assert invited.operations() == {"dynamodb.TransactWriteItems": 1, "dynamodb.GetItem": 1}


@pytest.mark.usefixtures("cloud")
def test_another_transaction_in_the_way_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a first try that DynamoDB cancels for another transaction
    monkeypatch.setattr("leaseway.clock.sleep", lambda _: None)
    cancelled = iter([True])

    def conflict_once(call: object) -> object:
        if next(cancelled, False):
            raise make_conflict()
        return call()  # type: ignore[operator]

    with intercept_calls(conflict_once, "TransactWriteItems") as calls:
        register("alice", GOOD)
    assert calls.count("TransactWriteItems") == 2


def make_conflict() -> Exception:
    reasons = [{"Code": "TransactionConflict"}, {"Code": "None"}]
    error = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
    return ClientError(error, "TransactWriteItems")  # type: ignore[arg-type]
