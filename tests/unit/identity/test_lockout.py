import pytest

from leaseway.identity import BadCredentialsError, LockedOutError, lockout, passwords, register, sign_in
from leaseway.identity.model import AttemptsModel
from leaseway.settings import settings
from support.call_meter import meter_calls
from support.fake_clock import FakeClock

GOOD = "orbit-lantern-mosaic"


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch, cloud: None) -> None:
    monkeypatch.setenv("LOCKOUT_AFTER", "3")
    monkeypatch.setenv("LOCKOUT_SECONDS", "10")
    monkeypatch.setenv("LOCKOUT_CAP_SECONDS", "60")
    settings.cache_clear()


def fail(name: str, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(BadCredentialsError):
            sign_in(name, "wrong")


def test_the_right_password_is_refused_while_locked_and_good_after(fake_clock: FakeClock) -> None:
    # Given a name locked by failures
    register("alice", GOOD)
    fail("alice", 3)
    # When the right password comes too early, then in time
    with pytest.raises(LockedOutError) as refusal:
        sign_in("alice", GOOD)
    fake_clock.move(seconds=10)
    # Then the first said how long, and the second is good
    assert refusal.value.wait_ms == 10_000
    assert refusal.value.facts == {"retry_after": 10}
    assert sign_in("alice", GOOD).username == "alice"


def test_each_further_failure_locks_twice_as_long_up_to_the_cap(fake_clock: FakeClock) -> None:
    register("alice", GOOD)
    fail("alice", 2)
    waits = []
    for _ in range(5):
        fail("alice")
        with pytest.raises(LockedOutError) as refusal:
            sign_in("alice", GOOD)
        waits.append(refusal.value.wait_ms // 1000)
        fake_clock.move(seconds=waits[-1])
    assert waits == [10, 20, 40, 60, 60]


def test_a_success_forgets_the_failures(fake_clock: FakeClock) -> None:
    register("alice", GOOD)
    fail("alice", 2)
    sign_in("alice", GOOD)
    fail("alice", 2)
    assert sign_in("alice", GOOD)


def test_failures_are_forgotten_a_day_after_the_last(fake_clock: FakeClock) -> None:
    # Given failures of yesterday, which DynamoDB has not removed yet
    register("alice", GOOD)
    fail("alice", 2)
    fake_clock.move(seconds=86_400)
    # When two more come
    fail("alice", 2)
    # Then they are the first two, not the third and fourth
    assert sign_in("alice", GOOD)


def test_unknown_names_are_locked_just_the_same(fake_clock: FakeClock) -> None:
    register("alice", GOOD)
    refusals = []
    for name in ("alice", "nobody"):
        fail(name, 3)
        with pytest.raises(LockedOutError) as refusal:
            sign_in(name, "wrong")
        refusals.append((str(refusal.value), refusal.value.facts))
    assert refusals[0] == refusals[1]


def test_a_locked_name_costs_one_read_and_no_hash(fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    fail("nobody", 3)
    monkeypatch.setattr(passwords, "matches", None)
    with meter_calls() as meter, pytest.raises(LockedOutError):
        sign_in("nobody", "wrong")
    assert meter.operations() == {"dynamodb.GetItem": 1}


def test_a_right_guess_among_many_at_once_does_not_count_once_the_others_locked_the_name(
    fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a guesser whose requests all passed the check before the first was counted
    register("alice", GOOD)
    matches = passwords.matches

    def others_fail_first(password: str, password_hash: str | None) -> bool:
        monkeypatch.setattr(passwords, "matches", matches)
        fail("alice", 3)
        return matches(password, password_hash)

    monkeypatch.setattr(passwords, "matches", others_fail_first)
    # When one of them has the right password, after the others failed
    with pytest.raises(LockedOutError):
        sign_in("alice", GOOD)
    # Then it learnt nothing, and the count stands
    assert AttemptsModel.read("attempts#alice")["failures"]["N"] == "3"  # type: ignore[index]


def test_failures_at_the_same_time_are_each_counted(fake_clock: FakeClock) -> None:
    # Given two failures that saw the same count
    seen = lockout.check_unlocked("alice")
    lockout.record_failure("alice", seen)
    # When the second is written after the first
    counted = lockout.record_failure("alice", seen)
    # Then it counts as the second
    assert counted.failures == 2


def test_a_failure_that_comes_after_the_lock_is_refused_and_makes_it_no_longer(fake_clock: FakeClock) -> None:
    seen = lockout.check_unlocked("alice")
    fail("alice", 3)
    with pytest.raises(LockedOutError) as refusal:
        lockout.record_failure("alice", seen)
    assert refusal.value.wait_ms == 10_000
