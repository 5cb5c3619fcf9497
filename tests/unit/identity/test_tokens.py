import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from botocore.exceptions import EndpointConnectionError

from leaseway import aws
from leaseway.errors import UnavailableError
from leaseway.identity import (
    Role,
    TokenExpiredError,
    TokenRefusedError,
    TokenRevokedError,
    User,
    authenticate,
    issue,
    register,
    tokens,
)
from leaseway.identity.keys import KeyRing, key_ring
from support.call_meter import meter_calls
from support.fake_clock import FakeClock, set_clock

ALICE = User(username="alice", role=Role.USER, token_generation=1, created_at=0, updated_at=0)
PASSWORD = "orbit-lantern-mosaic"


@pytest.fixture
def fake_clock(cloud: None) -> Iterator[FakeClock]:
    """Secrets Manager dates versions by the real clock, from which this one starts."""
    with set_clock(float(int(time.time()))) as fake:
        yield fake


@pytest.fixture(autouse=True)
def _cloud(cloud: None) -> None:
    """Every test here needs the secret."""


def forge_token(claims: dict[str, Any] | None = None, *, key: str = "t" * 64, **header: Any) -> str:
    """A token signed with the real key, but for what is asked for."""
    now = int(datetime.now(UTC).timestamp())
    valid_claims = {"iss": "leaseway", "aud": "leaseway-api", "sub": "alice", "role": "User", "gen": 1, "jti": "x"}
    payload = {**valid_claims, "iat": now, "exp": now + 60, **(claims or {})}
    payload = {name: value for name, value in payload.items() if value is not None}
    header_fields = {"alg": "HS256", "typ": "JWT", "kid": key_ring().signing_key().id, **header}
    header_fields = {name: value for name, value in header_fields.items() if value is not None}
    return sign_token(header_fields, payload, key)


def sign_token(head: Any, payload: Any, key: str) -> str:
    text = f"{encode_part(head)}.{encode_part(payload)}"
    return f"{text}.{encode_part(hmac.new(key.encode(), text.encode(), hashlib.sha256).digest())}"


def encode_part(value: Any) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def unsign(algorithm: str, **header: Any) -> str:
    payload = forge_token().split(".")[1]
    return f"{encode_part({'alg': algorithm, 'kid': key_ring().signing_key().id, **header})}.{payload}."


def test_a_token_says_who_what_until_when_and_for_whom(fake_clock: FakeClock) -> None:
    # When a token is issued
    token = issue(ALICE)
    # Then it carries every claim, and its key's id is the secret's version
    header, claims = jwt.get_unverified_header(token.text), jwt.decode(token.text, options={"verify_signature": False})
    now = int(fake_clock.seconds)
    version = aws.client("secretsmanager").get_secret_value(SecretId="leaseway/token")["VersionId"]
    assert header == {"alg": "HS256", "typ": "JWT", "kid": version}
    assert claims.pop("jti") != jwt.decode(issue(ALICE).text, options={"verify_signature": False})["jti"]
    assert claims == {
        "iss": "leaseway",
        "aud": "leaseway-api",
        "sub": "alice",
        "role": "User",
        "gen": 1,
        "iat": now,
        "exp": now + 3600,
    }
    assert token.seconds == 3600


def test_a_forged_token_with_the_right_key_and_claims_is_the_control_of_these_tests() -> None:
    assert tokens.read(forge_token()).sub == "alice"


@pytest.mark.parametrize(
    "refused",
    [
        pytest.param(lambda: "", id="nothing"),
        pytest.param(lambda: "garbage", id="garbage"),
        pytest.param(lambda: "a.b.c", id="three parts of garbage"),
        pytest.param(lambda: "é.ü.ß", id="not ASCII"),
        pytest.param(lambda: "\ud800.b.c", id="half a character"),
        pytest.param(lambda: encode_part(b"[" * 3000) + ".e30.x", id="nested without end"),
        pytest.param(lambda: encode_part([]) + ".e30.x", id="a header that is a list"),
        pytest.param(lambda: forge_token() + "x" * 4096, id="endless"),
        pytest.param(lambda: forge_token()[:-2], id="cut off"),
        pytest.param(lambda: forge_token(key="u" * 64), id="signed with another key"),
        pytest.param(lambda: unsign("none"), id="alg none"),
        pytest.param(lambda: unsign("NONE"), id="alg NONE"),
        pytest.param(lambda: unsign("HS256"), id="no signature"),
        pytest.param(lambda: unsign("RS256"), id="alg RS256"),
        pytest.param(lambda: unsign("HS512"), id="alg HS512"),
        pytest.param(lambda: forge_token(kid=None), id="no key id"),
        pytest.param(lambda: forge_token(kid="../secret"), id="a made-up key id"),
        pytest.param(lambda: forge_token(kid=str(uuid.uuid4())), id="an unknown key id"),
        pytest.param(lambda: forge_token({"aud": "another-api"}), id="another audience"),
        pytest.param(lambda: forge_token({"aud": None}), id="no audience"),
        pytest.param(lambda: forge_token({"iss": "another"}), id="another issuer"),
        pytest.param(lambda: forge_token({"sub": None}), id="no subject"),
        pytest.param(lambda: forge_token({"exp": None}), id="no expiry"),
        pytest.param(lambda: forge_token({"iat": None}), id="no time of issue"),
        pytest.param(lambda: forge_token({"jti": None}), id="no id"),
        pytest.param(lambda: forge_token({"gen": None}), id="no generation"),
        pytest.param(lambda: forge_token({"role": "Root"}), id="an unknown role"),
        pytest.param(lambda: forge_token({"exp": "never"}), id="an expiry that is no number"),
    ],
)
def test_what_is_not_ours_is_refused(refused: Any) -> None:
    token = refused()
    with pytest.raises(TokenRefusedError) as refusal:
        tokens.read(token)
    assert type(refusal.value) is TokenRefusedError


def test_a_public_key_used_as_a_secret_signs_nothing() -> None:
    # Given what a verifier that trusts the header would take for an RSA public key
    pem = "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAK\n-----END PUBLIC KEY-----\n"
    # Then neither name of the algorithm makes it good
    for algorithm in ("RS256", "HS256"):
        with pytest.raises(TokenRefusedError):
            tokens.read(forge_token(key=pem, alg=algorithm))


def test_an_expired_token_has_an_error_of_its_own(fake_clock: FakeClock) -> None:
    token = issue(ALICE).text
    fake_clock.move(seconds=3599)
    assert tokens.read(token).sub == "alice"
    fake_clock.move(seconds=1)
    with pytest.raises(TokenExpiredError):
        tokens.read(token)


def test_garbage_costs_no_read_and_a_good_token_costs_one() -> None:
    # Given a user with a token, and keys already known
    token = issue(register("alice", PASSWORD)).text
    with meter_calls() as meter:
        # When garbage and forgeries come
        for wrong in (
            "garbage",
            "a.b.c",
            unsign("none"),
            forge_token(kid="made-up"),
            forge_token(key="u" * 64),
        ):
            with pytest.raises(TokenRefusedError):
                authenticate(wrong)
        # Then no service of AWS is called
        assert not meter.operations()
        # And the good one reads its user
        assert authenticate(token).sub == "alice"
    assert meter.operations() == {"dynamodb.GetItem": 1}
    assert meter.read_units() == 1


def test_a_token_of_a_user_who_is_no_more_is_refused() -> None:
    with pytest.raises(TokenRevokedError):
        authenticate(issue(ALICE).text)


# ---- Rotation -----------------------------------------------------------------------------------------------------


def rotate(stage: str = "AWSCURRENT") -> str:
    """Bring in a new version; moto and AWS alike date it by the real clock."""
    version = aws.client("secretsmanager").put_secret_value(
        SecretId="leaseway/token", SecretString=uuid.uuid4().hex * 2, VersionStages=[stage]
    )
    return str(version["VersionId"])


def read_signing_key_id(ring: KeyRing) -> str:
    return ring.signing_key().id


def test_a_rotation_logs_no_user_out(fake_clock: FakeClock) -> None:
    # Given a token of before, and a verifier and a signer that each know the present key
    before = issue(ALICE).text
    old = read_signing_key_id(key_ring())
    # When the secret is rotated and the verifier, still warm, gets the last token signed with the old key
    new = rotate()
    last = issue(ALICE).text
    assert jwt.get_unverified_header(last)["kid"] == old
    # Then a signer that has just started knows the new key and does not use it yet
    assert read_signing_key_id(KeyRing()) == old
    fake_clock.move(seconds=60)
    assert read_signing_key_id(KeyRing()) == old
    # And after the cache time and the margin it does; every token in between is good
    fake_clock.move(seconds=6)
    after = issue(ALICE).text
    assert jwt.get_unverified_header(after)["kid"] == new
    assert [tokens.read(token).sub for token in (before, last, after)] == ["alice"] * 3


def test_a_pending_version_is_accepted_and_never_signs(fake_clock: FakeClock) -> None:
    current = read_signing_key_id(KeyRing())
    pending = rotate("AWSPENDING")
    fake_clock.move(seconds=600)
    ring = KeyRing()
    assert read_signing_key_id(ring) == current
    assert ring.find(pending) is not None


def test_a_version_that_was_rotated_away_twice_is_refused(fake_clock: FakeClock) -> None:
    old = read_signing_key_id(key_ring())
    rotate()
    rotate()
    assert key_ring().find(old) is not None  # still cached
    fake_clock.move(seconds=60)
    assert key_ring().find(old) is None


def test_unknown_key_ids_cost_at_most_one_look_a_minute(fake_clock: FakeClock) -> None:
    key_ring().find("x")
    with meter_calls() as meter:
        for _ in range(1_100):
            assert key_ring().find(str(uuid.uuid4())) is None
            fake_clock.move(seconds=0.1)
    # 110 seconds of made-up ids: one look, and no secret fetched again
    assert meter.operations() == {"secrets-manager.ListSecretVersionIds": 1}


def test_keys_stay_good_while_secrets_manager_is_away(fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a verifier with a token, and a Secrets Manager that does not answer any more
    token = issue(ALICE).text

    def no_answer(_: KeyRing) -> None:
        raise EndpointConnectionError(endpoint_url="secretsmanager")

    monkeypatch.setattr(KeyRing, "_fetch", no_answer)
    fake_clock.move(seconds=120)
    # Then the keys of before go on, and a verifier without any is unavailable
    assert tokens.read(token).sub == "alice"
    verifier = KeyRing()
    for _ in range(3):  # within the seconds until it looks again, too
        with pytest.raises(UnavailableError):
            verifier.find("x")
