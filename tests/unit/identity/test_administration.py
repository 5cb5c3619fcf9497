"""What an Admin does to users, and that an Admin is left whoever does it at the same moment."""

from collections.abc import Callable
from typing import Any

import pytest

from leaseway import clock
from leaseway.cursors import InvalidCursorError
from leaseway.errors import InvalidInputError, NotYoursError
from leaseway.identity import (
    BadCredentialsError,
    CodeRefusedError,
    LockedOutError,
    OwnRoleError,
    Role,
    TokenRevokedError,
    UserDisabledError,
    UsernameTakenError,
    UserNotFoundError,
    authenticate,
    change_password,
    change_role,
    create_user,
    create_user_without_password,
    disable_user,
    enable_user,
    end_sessions,
    ensure_admin,
    get_user,
    issue,
    make_admin,
    page_of_users,
    passwords,
    register,
    reset_password,
    set_password_by_code,
    sign_in,
    unlock_user,
)
from leaseway.identity.codes import make_code
from leaseway.identity.model import UserModel
from leaseway.identity.names import fold
from leaseway.settings import settings
from support.call_meter import meter_calls
from support.fake_clock import FakeClock
from support.faulty_wire import lose_first_answer

GOOD = "orbit-lantern-mosaic"
NEW = "quarry-violin-sunday"
CHANGES: list[Callable[..., Any]] = [
    lambda name, actor: change_role(name, Role.USER, actor=actor),
    disable_user,
    enable_user,
    end_sessions,
    reset_password,
    unlock_user,
]
NAMES = ["role", "disable", "enable", "logout", "reset", "unlock"]


@pytest.fixture
def admins(cloud: None) -> None:
    """Two Admins, ann and ben."""
    for name in ("ann", "ben"):
        create_user(name, GOOD, role=Role.ADMIN)


@pytest.mark.usefixtures("admins")
@pytest.mark.parametrize(("first", "second"), [("ann", "ben"), ("ben", "ann")])
@pytest.mark.parametrize("change", CHANGES[:2], ids=NAMES[:2])
def test_two_admins_cannot_remove_each_other(change: Callable[..., Any], first: str, second: str) -> None:
    # Given an Admin who removed the other
    change(second, actor=first)
    # When the other, whose token the authorizer still has as good, does the same
    with pytest.raises(NotYoursError):
        change(first, actor=second)
    # Then one Admin is left
    left = get_user(first)
    assert (left.role, left.disabled) == (Role.ADMIN, False)


@pytest.mark.usefixtures("admins")
@pytest.mark.parametrize("change", CHANGES, ids=NAMES)
@pytest.mark.parametrize("actor", ["alice", "nobody", "ben"])
def test_only_who_is_an_admin_now_changes_users(change: Callable[..., Any], actor: str) -> None:
    # Given a User, a name that nobody has, and an Admin who was disabled
    register("alice", GOOD)
    register("zoe", GOOD)
    disable_user("ben", actor="ann")
    before = UserModel.read("zoe")
    # When they change another user, then they are refused and nothing is changed
    with pytest.raises(NotYoursError):
        change("zoe", actor=actor)
    assert UserModel.read("zoe") == before


@pytest.mark.usefixtures("admins")
@pytest.mark.parametrize("change", CHANGES, ids=NAMES)
@pytest.mark.parametrize("name", ["nobody", "attempts#alice", "name#alice", ""])
def test_only_users_are_changed(change: Callable[..., Any], name: str) -> None:
    register("alice", GOOD)
    with pytest.raises(BadCredentialsError):
        sign_in("alice", "wrong")  # leaves an item that counts her failures
    with pytest.raises(UserNotFoundError):
        change(name, actor="ann")


@pytest.mark.usefixtures("admins")
@pytest.mark.parametrize("change", CHANGES[:2], ids=NAMES[:2])
def test_nobody_removes_themselves(change: Callable[..., Any]) -> None:
    with pytest.raises(OwnRoleError):
        change("ann", actor="ann")


@pytest.mark.usefixtures("admins")
def test_an_admin_ends_the_own_sessions_and_resets_the_own_password() -> None:
    assert end_sessions("ann", actor="ann").token_generation == 2
    assert set_password_by_code("ann", reset_password("ann", actor="ann").text, NEW).username == "ann"


@pytest.mark.usefixtures("admins")
def test_an_admin_who_enables_the_own_user_changes_nothing() -> None:
    before = get_user("ann")
    assert enable_user("ann", actor="ann") == before
    # And one who is none any more is refused, also as the user who is changed
    change_role("ann", Role.USER, actor="ben")
    with pytest.raises(NotYoursError):
        enable_user("ann", actor="ann")


@pytest.mark.usefixtures("admins")
def test_a_disabled_user_neither_signs_in_nor_uses_a_token_until_enabled() -> None:
    # Given a user with a token
    token = issue(register("alice", GOOD)).text
    # When she is disabled
    assert disable_user("alice", actor="ann").disabled
    # Then her token and her password are refused, and a wrong password learns nothing of it
    with pytest.raises(TokenRevokedError):
        authenticate(token)
    with pytest.raises(UserDisabledError):
        sign_in("alice", GOOD)
    with pytest.raises(BadCredentialsError) as refusal:
        sign_in("alice", "wrong")
    assert refusal.value.code == "BAD_CREDENTIALS"
    with pytest.raises(UserDisabledError):
        change_password("alice", GOOD, NEW)
    # And once she is enabled, she signs in as before, while the old token stays dead
    assert not enable_user("alice", actor="ann").disabled
    assert authenticate(issue(sign_in("alice", GOOD)).text).sub == "alice"
    with pytest.raises(TokenRevokedError):
        authenticate(token)


@pytest.mark.usefixtures("admins")
def test_ending_the_sessions_ends_every_token_and_keeps_the_password() -> None:
    tokens = [issue(user).text for user in (register("alice", GOOD), sign_in("alice", GOOD))]
    end_sessions("alice", actor="ann")
    for token in tokens:
        with pytest.raises(TokenRevokedError):
            authenticate(token)
    assert sign_in("alice", GOOD)


@pytest.mark.usefixtures("admins")
def test_unlocking_ends_a_lock_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKOUT_AFTER", "1")
    settings.cache_clear()
    register("alice", GOOD)
    with pytest.raises(BadCredentialsError):
        sign_in("alice", "wrong")
    with pytest.raises(LockedOutError):
        sign_in("alice", GOOD)
    unlock_user("alice", actor="ann")
    assert sign_in("alice", GOOD)


# ---- One-time codes for passwords -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("admins")
def test_a_code_sets_one_password_and_ends_tokens_and_a_lock_out(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a user with a token whose name is locked, and a code for her
    monkeypatch.setenv("LOCKOUT_AFTER", "1")
    settings.cache_clear()
    token = issue(register("alice", GOOD)).text
    with pytest.raises(BadCredentialsError):
        sign_in("alice", "wrong")
    code = reset_password("alice", actor="ann").text
    # When she uses it
    set_password_by_code("alice", code, NEW)
    # Then the new password is good at once, what was before is not, and the code is used
    assert sign_in("alice", NEW)
    with pytest.raises(TokenRevokedError):
        authenticate(token)
    with pytest.raises(CodeRefusedError):
        set_password_by_code("alice", code, "another-long-password")
    assert sign_in("alice", NEW)


@pytest.mark.usefixtures("admins")
def test_codes_that_are_refused_cost_one_read_and_no_hash(
    fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given codes that were replaced, expired, made up, of another user, or of one who was disabled since
    for name in ("alice", "bob", "carl", "dora"):
        register(name, GOOD)
    replaced = reset_password("alice", actor="ann").text
    reset_password("alice", actor="ann")
    expired = reset_password("carl", actor="ann").text
    fake_clock.move(hours=24)
    of_bob, of_dora = (reset_password(name, actor="ann").text for name in ("bob", "dora"))
    disable_user("dora", actor="ann")

    def refuse_to_hash(password: str) -> str:
        raise AssertionError("a hash was computed")

    monkeypatch.setattr(passwords, "hash_password", refuse_to_hash)
    tried = [("alice", replaced), ("carl", expired), ("alice", of_bob), ("dora", of_dora), ("nobody", of_bob)]
    tried += [("alice", ""), ("ann", "made-up"), ("bob", "\ud800")]
    # When they are used, then each costs one read
    for name, code in tried:
        with meter_calls() as meter, pytest.raises(CodeRefusedError):
            set_password_by_code(name, code, NEW)
        assert meter.operations() == {"dynamodb.GetItem": 1}, name


@pytest.mark.usefixtures("admins")
def test_two_requests_with_one_code_set_one_password(monkeypatch: pytest.MonkeyPatch) -> None:
    register("alice", GOOD)
    code = reset_password("alice", actor="ann").text
    real = passwords.hash_password

    def use_the_code_first(password: str) -> str:
        monkeypatch.setattr(passwords, "hash_password", real)
        set_password_by_code("alice", code, NEW)
        return real(password)

    monkeypatch.setattr(passwords, "hash_password", use_the_code_first)
    with pytest.raises(CodeRefusedError):
        set_password_by_code("alice", code, "another-long-password")
    assert sign_in("alice", NEW)


@pytest.mark.usefixtures("cloud")
def test_a_user_without_a_password_sets_the_first_one_by_code() -> None:
    code = make_code()
    create_user_without_password("alice", code)
    for guess in ("", "none", passwords.NO_PASSWORD):
        with pytest.raises(BadCredentialsError):
            sign_in("alice", guess)
    set_password_by_code("alice", code.text, GOOD)
    assert sign_in("alice", GOOD)


# ---- Lost answers ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("cloud")
def test_a_password_change_whose_answer_is_lost_is_made() -> None:
    register("alice", GOOD)
    with lose_first_answer("UpdateItem") as sent:
        changed = change_password("alice", GOOD, NEW)
    assert sent.count("UpdateItem") == 2
    assert (changed.token_generation, sign_in("alice", NEW)) == (2, changed)


@pytest.mark.usefixtures("admins")
def test_a_code_whose_answer_is_lost_has_set_the_password() -> None:
    register("alice", GOOD)
    code = reset_password("alice", actor="ann").text
    with lose_first_answer("UpdateItem") as sent:
        set_password_by_code("alice", code, NEW)
    assert sent.count("UpdateItem") == 2
    assert sign_in("alice", NEW)


@pytest.mark.usefixtures("admins")
@pytest.mark.parametrize("change", CHANGES, ids=NAMES)
def test_an_admins_change_whose_answer_is_lost_is_made(change: Callable[..., Any]) -> None:
    create_user("carl", GOOD, role=Role.WORKER)
    with lose_first_answer("TransactWriteItems", attempts=1) as sent:
        change("carl", actor="ann")
    assert sent.count("TransactWriteItems") == 2


# ---- Break the glass ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("cloud")
def test_breaking_the_glass_makes_an_enabled_admin_of_anybody() -> None:
    # Given a disabled User, and nobody else
    register("alice", GOOD)
    create_user("ann", GOOD, role=Role.ADMIN)
    disable_user("alice", actor="ann")
    # When the owner of the stack breaks the glass for her, and for a new name
    for name in ("alice", "root"):
        set_password_by_code(name, make_admin(name).text, NEW)
        # Then each signs in as an Admin
        assert sign_in(name, NEW).role is Role.ADMIN
    with pytest.raises(InvalidInputError):
        make_admin("attempts#alice")


# ---- Names ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize(("name", "alike"), [("alice", "Alice"), ("Alice", "alice"), ("A.Lice", "a.LICE")])
def test_a_name_that_differs_in_case_only_is_taken(name: str, alike: str) -> None:
    register(name, GOOD)
    for create in (register, create_user):
        with pytest.raises(UsernameTakenError):
            create(alike, GOOD)
    assert UserModel.read(alike) is None
    assert sign_in(name, GOOD).username == name


def insert_as_before(name: str) -> None:
    """Insert a user as earlier releases did."""
    item = UserModel(
        name,
        password_hash=passwords.hash_password(GOOD),
        role="User",
        token_generation=1,
        created_at=clock.now_ms(),
        updated_at=clock.now_ms(),
    )
    UserModel.insert(item)


@pytest.mark.usefixtures("cloud")
def test_users_of_earlier_releases_keep_their_names_and_hold_them_from_a_sign_in_on() -> None:
    # Given two users of a release that told names apart by case, and one whose name is in lower case
    for name in ("Bob", "bob", "Carl", "dora"):
        insert_as_before(name)
    # When they sign in, then both still can, again and again
    for name in ("Bob", "bob", "Carl", "Bob", "bob"):
        assert sign_in(name, GOOD).username == name
    # And a new user can have none of the names in another case
    for alike in ("BOB", "cARL", "Dora"):
        with pytest.raises(UsernameTakenError):
            register(alike, GOOD)
    with meter_calls() as meter:
        sign_in("Carl", GOOD)
    assert meter.operations() == {"dynamodb.GetItem": 2, "dynamodb.DeleteItem": 1}


def test_what_unicode_spells_in_two_ways_is_one_name() -> None:
    assert fold("\uff21lice") == fold("alice") == "alice"


# ---- Lists ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_pages_show_every_user_once_and_nothing_else_of_the_table(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given users among held names and counts of failed sign-ins, more than one call reads
    ensure_admin("admin", GOOD)
    monkeypatch.setattr(passwords, "hash_password", lambda password: f"hash of {password}")
    names = {f"User-{number:02}" for number in range(13)}
    for name in names:
        register(name, GOOD)
        with pytest.raises(BadCredentialsError):
            sign_in(f"no-{name}", "wrong")
    monkeypatch.setattr("leaseway.dynamodb.query._KEYS_A_CALL", 5)
    # When they are read page by page
    listed, cursor, pages = [], None, 0
    while pages < 100:
        page = page_of_users(size=size, cursor=cursor)
        assert len(page.users) <= size
        listed += [user.username for user in page.users]
        cursor, pages = page.cursor, pages + 1
        if cursor is None:
            break
    # Then each is listed once
    assert sorted(listed) == sorted(names | {"admin"})


@pytest.mark.usefixtures("cloud")
def test_a_list_stops_at_its_budget_and_goes_on_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIST_KEY_BUDGET", "100")
    settings.cache_clear()
    monkeypatch.setattr(passwords, "matches", lambda *_: False)
    for number in range(120):
        with pytest.raises(BadCredentialsError):
            sign_in(f"no-{number}", "wrong")
    register("alice", GOOD)
    first = page_of_users()
    rest = page_of_users(cursor=first.cursor) if first.cursor else first
    assert len(first.users) + len(rest.users) >= 1
    assert first.cursor is not None
    with pytest.raises(InvalidCursorError):
        page_of_users(cursor="made-up")
    with pytest.raises(InvalidInputError):
        page_of_users(size=101)
