"""GENERATE_LOGIN: a random login of letters and digits."""

import secrets
import string
from typing import Annotated

import msgspec
from msgspec import Meta

from leaseway.jobs.types import JobContext, JobType, JsonObject

ALPHABET = string.ascii_letters + string.digits


class LoginPayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The length of the login. Four characters allow 14 million logins; with fewer, they would soon repeat."""

    length: Annotated[int, Meta(ge=4, le=64, description="Characters")] = 10


def run(payload: LoginPayload, _: JobContext) -> JsonObject:
    """A login from the system's secure random source, every character equally likely."""
    return {"login": "".join(secrets.choice(ALPHABET) for _ in range(payload.length))}


TYPE = JobType("GENERATE_LOGIN", LoginPayload, run, "Make a random login of letters and digits")
