"""Health: whether every part that the API needs answers.

The parts are checked concurrently and each has its own time limit, so that one that hangs neither hides the others nor
blocks the caller.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from leaseway import aws, clock
from leaseway.accounts.model import AccountModel
from leaseway.errors import UnavailableError
from leaseway.jobs.queue import depth
from leaseway.jobs.queue_names import NORMAL
from leaseway.jobs.table import JobModel
from leaseway.settings import require_setting

BOUND_SECONDS = 4
"""A part that has not answered by then counts as out."""

KEPT_MS = 5_000
"""How long a result is reused: the route is open to all, and must not multiply its callers' requests."""

_NO_SUCH_KEY = "-"


class DependencyOutError(UnavailableError):
    """A service that the API needs does not answer."""

    code = "DEPENDENCY_OUT"


class HealthPart(msgspec.Struct, frozen=True):
    """One part and how long its answer took; `problem` is the kind of failure, or None."""

    name: str
    ok: bool
    ms: int
    problem: str | None = None


def _bucket() -> None:
    aws.client("s3").head_bucket(Bucket=require_setting("bucket"))


def _secrets() -> None:
    aws.client("secretsmanager").get_secret_value(SecretId=require_setting("cursor_secret"))


_PARTS: Mapping[str, Callable[[], Any]] = {
    "accounts": lambda: AccountModel.read(_NO_SUCH_KEY),
    "jobs": lambda: JobModel.read(_NO_SUCH_KEY),
    "queue": lambda: depth(NORMAL),
    "bucket": _bucket,
    "secrets": _secrets,
}

_lock = threading.Lock()
_found: tuple[int, list[HealthPart]] | None = None


def check() -> list[HealthPart]:
    """Check every part, at most once per process and five seconds. Five calls, two of them consistent reads of nothing.

    Raises:
        DependencyOutError: a part does not answer; carries all of them as `parts`.
    """
    global _found  # noqa: PLW0603 - the process's last result
    with _lock:
        if _found is None or clock.now_ms() - _found[0] > KEPT_MS:
            _found = (clock.now_ms(), _check_all())
        parts = _found[1]
    out = [part.name for part in parts if not part.ok]
    if out:
        raise DependencyOutError(f"out: {', '.join(out)}", parts=msgspec.to_builtins(parts))
    return parts


def _check_all() -> list[HealthPart]:
    answers: dict[str, HealthPart] = {}

    def check_part(name: str) -> None:
        answers[name] = _check(name, _PARTS[name])

    threads = [threading.Thread(target=check_part, args=(name,), daemon=True) for name in _PARTS]
    for thread in threads:
        thread.start()
    ends = time.monotonic() + BOUND_SECONDS
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))
    silent = {name: HealthPart(name, ok=False, ms=BOUND_SECONDS * 1000, problem="no answer in time") for name in _PARTS}
    return list((silent | answers).values())


def _check(name: str, call: Callable[[], Any]) -> HealthPart:
    started = time.monotonic()
    problem = None
    try:
        call()
    except ClientError as refused:
        problem = str(refused.response["Error"]["Code"])
    except (BotoCoreError, UnavailableError) as failure:
        problem = type(failure).__name__
    return HealthPart(name, problem is None, round((time.monotonic() - started) * 1000), problem)
