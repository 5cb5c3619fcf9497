import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from zxcvbn import matching

from leaseway.accounts import create_account
from leaseway.errors import InvalidInputError
from leaseway.identity import (
    BadCredentialsError,
    OwnRoleError,
    Role,
    TokenRevokedError,
    UsernameTakenError,
    UserNotFoundError,
    WeakPasswordError,
    authenticate,
    change_password,
    change_role,
    ensure_admin,
    get_user,
    issue,
    passwords,
    register,
    sign_in,
)
from leaseway.identity.model import UserModel
from leaseway.identity.passwords import check_new_password
from support.call_meter import meter_calls

GOOD = "orbit-lantern-mosaic"


@pytest.mark.usefixtures("cloud")
def test_who_registers_is_a_user_and_signs_in_with_the_password() -> None:
    # Given a new user
    user = register("alice", GOOD)
    # Then she is no Admin, and her password is hers alone
    assert user.role is Role.USER
    assert sign_in("alice", GOOD) == user
    with pytest.raises(BadCredentialsError):
        sign_in("alice", GOOD + "!")


@pytest.mark.usefixtures("cloud")
def test_a_password_is_kept_as_an_argon2id_hash_with_a_salt_of_its_own() -> None:
    # Given two users with the same password
    register("alice", GOOD)
    register("bob", GOOD)
    # Then the table holds neither the password nor the same hash twice
    hashes = {UserModel.read(name)["password_hash"]["S"] for name in ("alice", "bob")}  # type: ignore[index]
    assert len(hashes) == 2
    assert all(text.startswith("$argon2id$v=19$m=19456,t=2,p=1$") for text in hashes)


@pytest.mark.usefixtures("cloud")
def test_a_taken_name_stays_its_owners() -> None:
    register("alice", GOOD)
    with pytest.raises(UsernameTakenError):
        register("alice", "another-long-password")
    assert sign_in("alice", GOOD).username == "alice"


@pytest.mark.usefixtures("cloud")
def test_the_name_of_an_account_cannot_be_registered_for_its_money() -> None:
    # Given an account that was opened for a name without a user
    create_account("alice", 100, request_id="open")
    # When a stranger registers the name, then he is refused, and no user is made
    with pytest.raises(UsernameTakenError):
        register("alice", GOOD)
    assert UserModel.read("alice") is None


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize("name", ["", "a b", "a#b", "../x", "-x", "ä", "x" * 129, "a\n", "attempts#alice", "a/b"])
def test_a_name_that_could_be_mistaken_for_something_else_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        register(name, GOOD)
    assert refusal.value.field == "username"
    with pytest.raises(BadCredentialsError):
        sign_in(name, GOOD)


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize(
    "password",
    ["", "short-7", "x" * 129, "password", "Passw0rd!", "password1234", "qwertyuiop12", "alice12345", "leaseway2024"],
)
def test_short_endless_and_common_passwords_are_refused_and_not_repeated_in_the_message(password: str) -> None:
    with pytest.raises(WeakPasswordError) as refusal:
        register("alice", password)
    assert refusal.value.field == "password"
    assert not password or password not in refusal.value.detail


@pytest.mark.parametrize(
    "password",
    ["4@8({[<369#!1/|0$5+7%2" * 4, "1|7l!i" * 12, "a4@A" * 18, "(<{[c" * 14, "69g!1|i$5s+7t4@a"],
)
def test_a_password_of_many_substitutions_is_judged_by_few_readings(
    password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a count of the readings that the estimate tries
    readings: list[int] = []
    real = matching.enumerate_l33t_subs

    def count(table: dict[str, list[str]]) -> list[dict[str, str]]:
        substitutions: list[dict[str, str]] = real(table)
        readings.append(len(substitutions))
        return substitutions

    monkeypatch.setattr(matching, "enumerate_l33t_subs", count)
    # When a password is judged that mixes every way to write a letter
    with contextlib.suppress(WeakPasswordError):
        check_new_password(password, "alice")
    # Then their number has a bound: it was 3,000 and more
    assert max(readings) <= 16


@pytest.mark.usefixtures("cloud")
def test_a_password_may_be_in_any_script_and_spelled_by_any_keyboard() -> None:
    # Given a password with a letter that Unicode spells in two ways, and half a character
    register("alice", "fa\u00e7ade-\u0434\u043e\u043c-\ud800-wolken")
    # Then the other spelling is the same password
    assert sign_in("alice", "fac\u0327ade-\u0434\u043e\u043c-\ud800-wolken")


@pytest.mark.usefixtures("cloud")
def test_an_unknown_user_costs_the_same_hash_and_the_same_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given one user, and a count of what is hashed
    register("alice", GOOD)
    hasher = passwords._hasher()
    verified = []
    monkeypatch.setattr(type(hasher), "verify", _counting(type(hasher).verify, verified))
    # When a wrong password comes for her and for an unknown name
    calls = []
    for name in ("alice", "nobody"):
        with meter_calls() as meter, pytest.raises(BadCredentialsError) as refusal:
            sign_in(name, "wrong")
        calls.append((meter.operations(), str(refusal.value)))
    # Then they cannot be distinguished: same parameters, same calls, same words
    assert calls[0] == calls[1]
    assert [text.split("$")[1:4] for text in verified] == [["argon2id", "v=19", "m=19456,t=2,p=1"]] * 2


def _counting(verify: Callable[..., bool], seen: list[str]) -> Callable[..., bool]:
    def verify_and_count(self: Any, password_hash: str, password: str) -> bool:
        seen.append(password_hash)
        return verify(self, password_hash, password)

    return verify_and_count


@pytest.mark.usefixtures("cloud")
def test_signing_in_costs_two_reads_and_one_write() -> None:
    register("alice", GOOD)
    with meter_calls() as meter:
        sign_in("alice", GOOD)
    assert meter.operations() == {"dynamodb.GetItem": 2, "dynamodb.DeleteItem": 1}


@pytest.mark.usefixtures("cloud")
def test_a_new_password_ends_the_old_one_and_every_token_of_before() -> None:
    # Given a user with a token
    token = issue(register("alice", GOOD)).text
    assert authenticate(token).sub == "alice"
    # When she changes her password
    change_password("alice", GOOD, "quarry-violin-sunday")
    # Then neither the old password nor the old token is good
    with pytest.raises(BadCredentialsError):
        sign_in("alice", GOOD)
    with pytest.raises(TokenRevokedError):
        authenticate(token)
    assert authenticate(issue(sign_in("alice", "quarry-violin-sunday")).text).sub == "alice"


@pytest.mark.usefixtures("cloud")
def test_who_holds_a_stolen_token_cannot_change_the_password_without_knowing_it() -> None:
    register("alice", GOOD)
    with pytest.raises(BadCredentialsError):
        change_password("alice", "guess-number-one", "quarry-violin-sunday")
    assert sign_in("alice", GOOD)


@pytest.mark.usefixtures("cloud")
def test_a_role_that_changes_ends_every_token_of_before() -> None:
    # Given an Admin with a token
    ensure_admin("admin", GOOD)
    register("alice", GOOD)
    token = issue(change_role("alice", Role.ADMIN, actor="admin")).text
    assert authenticate(token).role is Role.ADMIN
    # When the role is taken away
    assert change_role("alice", Role.USER, actor="admin").role is Role.USER
    # Then the token that says Admin is refused, and a new one says User
    with pytest.raises(TokenRevokedError):
        authenticate(token)
    assert authenticate(issue(get_user("alice")).text).role is Role.USER


@pytest.mark.usefixtures("cloud")
def test_giving_a_role_that_the_user_has_ends_nothing() -> None:
    ensure_admin("admin", GOOD)
    token = issue(register("alice", GOOD)).text
    assert change_role("alice", Role.USER, actor="admin") == get_user("alice")
    assert authenticate(token)


@pytest.mark.usefixtures("cloud")
def test_no_admin_changes_the_own_role_so_that_one_is_left() -> None:
    ensure_admin("admin", GOOD)
    with pytest.raises(OwnRoleError):
        change_role("admin", Role.USER, actor="admin")
    assert get_user("admin").role is Role.ADMIN


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize("name", ["nobody", "attempts#alice", ""])
def test_a_role_needs_a_user(name: str) -> None:
    ensure_admin("admin", GOOD)
    with pytest.raises(BadCredentialsError):
        sign_in("alice", "wrong")  # leaves an item that counts her failures
    with pytest.raises(UserNotFoundError):
        change_role(name, Role.ADMIN, actor="admin")
    with pytest.raises(UserNotFoundError):
        get_user(name)


@pytest.mark.usefixtures("cloud")
def test_the_first_admin_is_made_once() -> None:
    # Given a deployment that made the first Admin, who has changed the password since
    assert ensure_admin("admin", GOOD)
    change_password("admin", GOOD, "quarry-violin-sunday")
    # When it is deployed again
    is_new = ensure_admin("admin", GOOD)
    # Then nothing is set back
    assert not is_new
    assert sign_in("admin", "quarry-violin-sunday").role is Role.ADMIN


@pytest.mark.parametrize("name", ["alice\n", "alice\r\n", "\nalice"])
def test_a_line_break_is_no_part_of_a_name(cloud: None, name: str) -> None:
    with pytest.raises(InvalidInputError):
        register(name, "orbit-lantern-mosaic")
