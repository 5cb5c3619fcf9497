"""Tokens that a deployment must refuse, made with all that an attacker could have and with a secret that none could."""

import base64
import hashlib
import hmac
import json
from typing import Any

# What a verifier that believes a token's header would take for the key to check RS256 with, and would have to publish.
PUBLIC_KEY = "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcN\n-----END PUBLIC KEY-----\n"


def encode_part(value: Any) -> str:
    """Encode one part of a token: JSON, or bytes as they are."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode_token(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Decode a token's header and claims without checking it."""
    header, claims = (json.loads(base64.urlsafe_b64decode(f"{text}==")) for text in token.split(".")[:2])
    return header, claims


def sign_token(header: dict[str, Any], claims: dict[str, Any], key: str) -> str:
    """Sign header and claims by HMAC, even if the header names another algorithm."""
    text = f"{encode_part(header)}.{encode_part(claims)}"
    return f"{text}.{encode_part(hmac.new(key.encode(), text.encode(), hashlib.sha256).digest())}"


def forge_tokens(good: str, key: str) -> dict[str, str]:
    """Make forgeries of a valid token. `key` is the deployment's own secret: only the test has that."""
    header, claims = decode_token(good)
    unsigned = f"{encode_part(header | {'alg': 'none'})}.{encode_part(claims)}."
    return {
        "garbage": "garbage",
        "expired": sign_token(header, claims | {"iat": claims["iat"] - 7_200, "exp": claims["exp"] - 7_200}, key),
        "wrong signature": sign_token(header, claims, "x" * 64),
        "alg none": unsigned,
        "alg none with a signature": unsigned + good.rpartition(".")[2],
        "HS/RS swap": sign_token(header | {"alg": "RS256"}, claims, PUBLIC_KEY),
        "RS key as HS secret": sign_token(header, claims, PUBLIC_KEY),
        "another audience": sign_token(header, claims | {"aud": "another-api"}, key),
        "another issuer": sign_token(header, claims | {"iss": "another"}, key),
        "altered role": ".".join(
            [encode_part(header), encode_part(claims | {"role": "Admin"}), good.rpartition(".")[2]]
        ),
        "unknown key": sign_token(header | {"kid": "0" * 36}, claims, key),
    }
