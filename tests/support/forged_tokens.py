"""Tokens that a deployment must refuse, made with everything an attacker could have, and with what he could not."""

import base64
import hashlib
import hmac
import json
from typing import Any

# What a verifier that believes a token's header would take for the key to check RS256 with, and would have to publish.
PUBLIC_KEY = "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcN\n-----END PUBLIC KEY-----\n"


def part(value: Any) -> str:
    """One part of a token: JSON, or bytes as they are."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def opened(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A token's header and claims, unchecked."""
    header, claims = (json.loads(base64.urlsafe_b64decode(f"{text}==")) for text in token.split(".")[:2])
    return header, claims


def signed(header: dict[str, Any], claims: dict[str, Any], key: str) -> str:
    """HMAC over header and claims, whatever the header says."""
    text = f"{part(header)}.{part(claims)}"
    return f"{text}.{part(hmac.new(key.encode(), text.encode(), hashlib.sha256).digest())}"


def forgeries(good: str, key: str) -> dict[str, str]:
    """Variations of a good token. `key` is the deployment's own secret: only the test has that."""
    header, claims = opened(good)
    unsigned = f"{part(header | {'alg': 'none'})}.{part(claims)}."
    return {
        "garbage": "garbage",
        "expired": signed(header, claims | {"iat": claims["iat"] - 7_200, "exp": claims["exp"] - 7_200}, key),
        "wrong signature": signed(header, claims, "x" * 64),
        "alg none": unsigned,
        "alg none with a signature": unsigned + good.rpartition(".")[2],
        "HS/RS swap": signed(header | {"alg": "RS256"}, claims, PUBLIC_KEY),
        "RS key as HS secret": signed(header, claims, PUBLIC_KEY),
        "another audience": signed(header, claims | {"aud": "another-api"}, key),
        "another issuer": signed(header, claims | {"iss": "another"}, key),
        "altered role": ".".join([part(header), part(claims | {"role": "Admin"}), good.rpartition(".")[2]]),
        "unknown key": signed(header | {"kid": "0" * 36}, claims, key),
    }
