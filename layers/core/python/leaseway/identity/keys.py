"""The keys of tokens: the versions of one secret, so that it can be rotated without ending a session.

The key's id is the secret's version id. Current, previous and pending versions are accepted. Signing with a new one
starts only when every verifier has looked after it was made:

    rotation  --new version--> t0
    verifier  looks at least every KEY_CACHE_SECONDS while it is used, so every one knows the new key at t0 + that
    signer    signs with the previous key until t0 + KEY_CACHE_SECONDS + a margin for clocks

An unknown key id is no reason to look sooner: a flood of made-up ids costs nothing.
"""

from functools import lru_cache
from threading import Lock

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from leaseway import aws, clock
from leaseway.errors import UnavailableError
from leaseway.settings import require_setting, settings

_ACCEPTED = frozenset({"AWSCURRENT", "AWSPREVIOUS", "AWSPENDING"})
_CLOCK_MARGIN_MS = 5_000
_LOOK_AGAIN_MS = 5_000  # after a look that failed
_NO_KEYS = "Secrets Manager does not hand out the keys of tokens"


class SigningKey(msgspec.Struct, frozen=True):
    """One version of the secret. `created_at` is in ms since the epoch."""

    id: str
    secret: str
    stages: frozenset[str]
    created_at: int


class KeyRing:
    """The accepted keys as of the last look, which is never older than KEY_CACHE_SECONDS when it is used.

    A look is one ListSecretVersionIds, and one GetSecretValue for each version not seen before.
    """

    def __init__(self) -> None:
        self._keys: dict[str, SigningKey] = {}
        self._looks_next_at = 0
        self._looking = Lock()

    def find(self, key_id: str) -> SigningKey | None:
        """Return the key of that id, or None if no accepted version has it.

        Raises:
            UnavailableError: Secrets Manager does not answer, and there are no earlier keys.
        """
        return self._fresh().get(key_id)

    def signing_key(self) -> SigningKey:
        """Return the key to sign with: the current one once every verifier knows it. Raises as `find` does."""
        keys = self._fresh().values()
        current = next((key for key in keys if "AWSCURRENT" in key.stages), None)
        previous = next((key for key in keys if "AWSPREVIOUS" in key.stages), None)
        if current is None:
            raise UnavailableError("the token secret has no current version")
        known_from = current.created_at + settings().key_cache_seconds * 1000 + _CLOCK_MARGIN_MS
        return previous if previous is not None and clock.now_ms() < known_from else current

    def _fresh(self) -> dict[str, SigningKey]:
        with self._looking:
            now = clock.now_ms()
            if now >= self._looks_next_at:
                self._look(now)
            if not self._keys:  # not even an old one since the look that failed: no token can be judged
                raise UnavailableError(_NO_KEYS)
            return self._keys

    def _look(self, now: int) -> None:
        try:
            self._keys = self._fetch()
        except (BotoCoreError, ClientError) as failure:
            self._looks_next_at = now + _LOOK_AGAIN_MS
            if not self._keys:
                raise UnavailableError(_NO_KEYS) from failure
        else:
            self._looks_next_at = now + settings().key_cache_seconds * 1000

    def _fetch(self) -> dict[str, SigningKey]:
        secret = require_setting("token_secret")
        client = aws.client("secretsmanager")
        versions = client.list_secret_version_ids(SecretId=secret)["Versions"]
        accepted = {version["VersionId"]: version for version in versions if _ACCEPTED & {*version["VersionStages"]}}
        return {
            key_id: SigningKey(
                key_id,
                self._keys[key_id].secret
                if key_id in self._keys
                else client.get_secret_value(SecretId=secret, VersionId=key_id)["SecretString"],
                frozenset(version["VersionStages"]),
                int(version["CreatedDate"].timestamp() * 1000),
            )
            for key_id, version in accepted.items()
        }


@lru_cache(maxsize=1)
def key_ring() -> KeyRing:
    """Return the process's key ring."""
    return KeyRing()
