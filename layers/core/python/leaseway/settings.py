"""Settings: environment variables, typed and checked once a process.

The field's name in capitals is the variable's name. `docs/reference/settings.md` is generated from this class.
"""

import os
from functools import lru_cache
from typing import Annotated, Literal

import msgspec
from msgspec import Meta


def _number(low: int, high: int, reason: str) -> Meta:
    return Meta(ge=low, le=high, description=reason)


class SettingsInvalidError(Exception):
    """An environment variable is missing a value it needs, or holds one outside its bounds."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a deployment. Every bound is enforced when a function starts."""

    accounts_table: Annotated[str, Meta(description="Table of balances; set by the template")] = ""
    jobs_table: Annotated[str, Meta(description="Table of jobs; set by the template")] = ""
    totals_table: Annotated[str, Meta(description="Table of counters behind list totals; set by the template")] = ""
    ledger_table: Annotated[str, Meta(description="Table of ledger entries; set by the template")] = ""
    idempotency_table: Annotated[
        str, Meta(description="Table of first answers to requests with an Idempotency-Key; set by the template")
    ] = ""
    jobs_queue_url: Annotated[str, Meta(description="Queue whose messages are jobs; set by the template")] = ""
    high_queue_url: Annotated[str, Meta(description="Queue of jobs of high priority; set by the template")] = ""
    low_queue_url: Annotated[str, Meta(description="Queue of jobs of low priority; set by the template")] = ""
    ordered_queue_url: Annotated[str, Meta(description="FIFO queue of jobs with an order key; set by the template")] = (
        ""
    )
    type_queue_urls: Annotated[
        str,
        Meta(description="Queues of single job types, as `TYPE=url` pairs separated by commas; set by the template"),
    ] = ""
    tasks_table: Annotated[str, Meta(description="Table of recurring tasks; set by the template")] = ""
    history_table: Annotated[
        str, Meta(description="Table of the runs and skipped or missed slots of tasks; set by the template")
    ] = ""
    tasks_queue_url: Annotated[
        str, Meta(description="Queue whose messages are runs of recurring tasks; set by the template")
    ] = ""
    tags_table: Annotated[str, Meta(description="Table of the rows that find jobs by tag; set by the template")] = ""
    nodes_table: Annotated[
        str, Meta(description="Table of the nodes' numbers and the generator's lease; set by the template")
    ] = ""
    worker_pool_size: Annotated[
        int, _number(1, 10, "Jobs that a worker runs concurrently, from the queues of the priorities")
    ] = 10
    worker_enabled: Annotated[
        Literal["true", "false"],
        Meta(description="Whether Lambda workers run jobs; if not, nodes read all queues"),
    ] = "true"
    bucket: Annotated[str, Meta(description="Bucket of uploads, large payloads and results; set by the template")] = ""
    cursor_secret: Annotated[
        str, Meta(description="Secrets Manager name or ARN of the key that signs cursors; set by the template")
    ] = ""
    users_table: Annotated[str, Meta(description="Table of users and failed sign-ins; set by the template")] = ""
    token_secret: Annotated[
        str, Meta(description="Secrets Manager name or ARN of the key that signs tokens; set by the template")
    ] = ""
    executors_package: Annotated[
        str, Meta(description="Python package with one module per job type; another package provides other types")
    ] = "worker.executors"

    service: Annotated[
        str, Meta(description="Dimension `service` of every metric; the template sets the stack's name")
    ] = "leaseway"
    log_format: Annotated[
        Literal["json", "text"], Meta(description="`json` for log queries, `text` for reading in a terminal")
    ] = "json"
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"],
        Meta(description="INFO writes one line per request and per step of a job"),
    ] = "INFO"

    admin_secret: Annotated[
        str, Meta(description="Secrets Manager name or ARN of the first Admin's name and password; set by the template")
    ] = ""
    issuer: Annotated[str, Meta(description="`iss` of tokens; a token of another issuer is refused")] = "leaseway"
    audience: Annotated[str, Meta(description="`aud` of tokens; a token for another audience is refused")] = (
        "leaseway-api"
    )
    token_seconds: Annotated[int, _number(60, 86_400, "How long a token is valid")] = 3_600
    key_cache_seconds: Annotated[
        int, _number(1, 3_600, "How long signing keys are cached; a new key is used after that")
    ] = 60
    lockout_after: Annotated[int, _number(1, 100, "Consecutive failed sign-ins that lock a user name")] = 5
    lockout_seconds: Annotated[
        int, _number(1, 3_600, "Duration of the first lock-out; each further failure doubles it")
    ] = 30
    lockout_cap_seconds: Annotated[int, _number(1, 86_400, "Longest lock-out of a user name")] = 900
    registration: Annotated[
        Literal["open", "invited", "closed"],
        Meta(
            description="Who may register: anyone, holders of an invitation, or no one; Admins can always create users."
            " `leaseway` deploys `open` to local targets"
        ),
    ] = "closed"
    code_hours: Annotated[int, _number(1, 720, "How long a one-time code, such as an invitation, is valid")] = 24
    cors_origins: Annotated[
        str,
        Meta(
            description="Origins whose pages may call the API, separated by commas, such as `https://app.example.com`"
        ),
    ] = ""

    currency: Annotated[
        str, Meta(pattern="^[A-Z]{3}$", description="ISO 4217 code of the deployment's only currency")
    ] = "EUR"
    currency_exponent: Annotated[
        int, _number(0, 4, "Decimal places of the currency; with 2, 10050 is 100.50. Fixed once data exists")
    ] = 2
    amount_limit: Annotated[
        int,
        _number(
            1, 10**15, "Largest single change of a balance, in minor units; catches an extra zero typed by mistake"
        ),
    ] = 10**12
    balance_limit: Annotated[
        int, _number(1, 10**15, "Largest balance, in minor units; a change that would exceed it is refused")
    ] = 10**15
    idempotency_hours: Annotated[
        int, _number(24, 720, "How long the first answer to a request with an Idempotency-Key is kept")
    ] = 24

    default_ttl_ms: Annotated[int, _number(100, 840_000, "Time to live of each attempt of a job that sets none")] = (
        60_000
    )
    max_ttl_ms: Annotated[
        int,
        _number(
            100,
            840_000,
            "Longest time to live on Lambda, which ends an invocation at 900 s; 60 s remain to settle the batch",
        ),
    ] = 840_000
    default_max_attempts: Annotated[int, _number(1, 20, "Attempts of a job that sets no limit")] = 3
    crash_limit: Annotated[
        int, _number(1, 10, "A job whose workers died this often is FAILED, because it would only stop more workers")
    ] = 3
    lease_seconds: Annotated[
        int,
        _number(
            3,
            600,
            "How long a silent worker keeps a job; a short one replaces dead workers sooner but needs more heartbeats",
        ),
    ] = 30
    backoff_base_ms: Annotated[
        int, _number(1, 60_000, "First step of the exponential backoff; the upper half of each step is random")
    ] = 1_000
    backoff_cap_ms: Annotated[int, _number(1, 86_400_000, "Longest wait between two attempts")] = 900_000

    ended_index: Annotated[
        Literal["true", "false"],
        Meta(
            description="Whether the jobs table has an index of jobs by their end, which costs one write unit per job"
        ),
    ] = "false"
    first_look_seconds: Annotated[
        int,
        _number(1, 3_600, "Age at which the sweeper first checks a live job; it never reads a job that ends sooner"),
    ] = 120
    ordered_jobs: Annotated[
        int,
        _number(
            1, 100_000, "Most live jobs of an owner with one order key; another is refused with 409 `ORDER_KEY_FULL`"
        ),
    ] = 10_000
    dead_letter_seconds: Annotated[
        int,
        _number(
            1,
            604_800,
            "A job whose message is a dead letter is FAILED after it has been due for this long without a claim",
        ),
    ] = 2_700
    look_cap_seconds: Annotated[
        int, _number(1, 86_400, "The sweeper's wait between checks of a job doubles up to this")
    ] = 3_600
    sweep_backlog: Annotated[
        int,
        _number(
            1, 100_000, "Queue depth above which the sweeper does not resend CREATED jobs: they are late, not lost"
        ),
    ] = 100
    sweep_items: Annotated[
        int,
        _number(1, 100_000, "Checks that one sweep makes of each of the two kinds; it reports whether any are left"),
    ] = 10_000
    sweep_seconds: Annotated[int, _number(1, 90, "Time limit of a sweep; Lambda stops the function after 120 s")] = 45
    sweep_threads: Annotated[int, _number(1, 24, "Concurrent calls of a sweep; the clients have 25 connections")] = 16

    late_seconds: Annotated[
        int,
        _number(
            61,
            3_600,
            "Age at which a slot counts as missed: the scheduler runs once a minute and may start late",
        ),
    ] = 90
    schedule_items: Annotated[
        int, _number(1, 10_000, "Due tasks that one tick handles; it reports whether any are left")
    ] = 5_000
    schedule_ahead_seconds: Annotated[
        int, _number(0, 300, "How far ahead of its slot a run is created so that it starts on time; above a minute")
    ] = 90
    schedule_threads: Annotated[int, _number(1, 25, "Slots that a tick handles concurrently")] = 16
    schedule_seconds: Annotated[int, _number(1, 600, "Time limit of a tick")] = 45
    due_shards: Annotated[
        int, _number(1, 64, "Shards of the index of due tasks, one query each per tick. Fixed once tasks exist")
    ] = 4
    history_days: Annotated[int, _number(1, 3_650, "How many days the history of tasks is kept")] = 90

    owner_shards: Annotated[
        int,
        _number(1, 16, "Shards of one owner's indexes, each for 1,000 write units a second. Fixed once data exists"),
    ] = 4
    outcome_shards: Annotated[
        int, _number(1, 64, "Shards of the indexes over all owners (live, outcome). Fixed once data exists")
    ] = 16
    totals_shards: Annotated[
        int, _number(1, 64, "Number of items over which a counter is spread; a read adds them up")
    ] = 8
    list_key_budget: Annotated[
        int, _number(100, 10_000, "Index keys that one page of a filtered list reads before it returns a cursor")
    ] = 1_000

    replay_rate: Annotated[
        int, _number(1, 1_000, "Dead letters that a replay of many starts per second, over all requests")
    ] = 10
    retention_days: Annotated[
        int, _number(1, 3_650, "Days that a finished job and its objects are kept unless the job sets another time")
    ] = 90
    object_days: Annotated[
        int,
        _number(
            1,
            3_650,
            "Days after which the bucket itself removes any object, as a safety net: at least 367 more than"
            " RETENTION_DAYS, because a job may be delayed by 366; each deployment checks it",
        ),
    ] = 460
    inline_bytes: Annotated[
        int, _number(256, 65_536, "Larger payloads and results are stored in the bucket instead of the item")
    ] = 4_096
    body_limit: Annotated[
        int, _number(1_024, 1_048_576, "Largest request body in bytes; a larger one is refused with 413")
    ] = 262_144
    upload_limit: Annotated[int, _number(1, 104_857_600, "Largest upload in bytes that a presigned link allows")] = (
        26_214_400
    )
    link_seconds: Annotated[int, _number(10, 3_600, "How long a presigned link works")] = 300

    http_allowed_hosts: Annotated[
        str, Meta(description="Exact `host:port` pairs, separated by commas, of private hosts that HTTP jobs may reach")
    ] = ""
    http_body_limit: Annotated[
        int, _number(0, 1_048_576, "Bytes of a response body that HTTP_GET keeps in its result")
    ] = 65_536
    http_timeout_ms: Annotated[int, _number(100, 300_000, "Timeout of connecting and of each read")] = 10_000
    http_redirects: Annotated[int, _number(0, 20, "Redirects that an HTTP job follows; each address is checked")] = 5
    image_pixels: Annotated[
        int, _number(1, 500_000_000, "Most pixels of an image; a decompression bomb is refused by its header")
    ] = 50_000_000


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The process's settings, read from the environment at the first call.

    Raises:
        SettingsInvalidError: a variable is outside its bounds; names it.
    """
    environment = {
        name: os.environ[name.upper()] for name in Settings.__struct_fields__ if os.environ.get(name.upper())
    }
    try:
        return msgspec.convert(environment, Settings, strict=False)
    except msgspec.ValidationError as problem:
        raise SettingsInvalidError(f"settings: {problem}") from problem


def require_setting(name: str) -> str:
    """The value of a setting that has no default, such as a table's name.

    Raises:
        SettingsInvalidError: the variable is not set.
    """
    value = str(getattr(settings(), name))
    if not value:
        raise SettingsInvalidError(f"settings: {name.upper()} is not set")
    return value
