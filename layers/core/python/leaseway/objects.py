"""Objects in the bucket: uploads, large payloads and results, each under its owner's own prefix.

    owners/{owner}/uploads/{id}                   written by a client through a presigned form
    owners/{owner}/jobs/{job id}/{name}           written by Leaseway: payload.json, result-1.json, image-1.webp

An owner's name is escaped, so it is always exactly one segment of a key and cannot lead into another owner's prefix.
"""

import re
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from leaseway import aws, clock
from leaseway.errors import InvalidInputError, NotFoundError, UnavailableError
from leaseway.settings import require_setting, settings

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import DeleteTypeDef

UPLOAD_TYPES = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp"})
"""Content types that an upload may have: those that IMAGE_RESIZE reads."""

_PLAIN = re.compile(r"[A-Za-z0-9_-]")
_SAFE_KEY = re.compile(r"[\x21-\x7e]{1,1024}")
_MISSING = {"NoSuchKey", "404", "NotFound"}


class ObjectNotFoundError(NotFoundError):
    """There is no such object in the bucket."""

    code = "OBJECT_NOT_FOUND"


class ObjectTooLargeError(InvalidInputError):
    """The object is larger than its reader admits."""

    code = "OBJECT_TOO_LARGE"


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """Leave to write an object until `expires_at`: a form of `fields`, then the bytes as the field `file`."""

    key: str
    url: str
    method: str
    fields: Mapping[str, str]
    expires_at: int
    """Milliseconds since the epoch."""


class ObjectFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the bucket says of an object without handing it out. `size` is in bytes."""

    size: int
    content_type: str


def owner_prefix(owner: str) -> str:
    """Return the beginning of every key of that owner; ends with a slash."""
    # Dots are escaped too, or an owner named ".." would make a path that clients like to fold.
    escaped = "".join(char if _PLAIN.fullmatch(char) else _escape(char) for char in owner)
    return f"owners/{escaped}/"


def _escape(char: str) -> str:
    return "".join(f"={byte:02X}" for byte in char.encode())


def job_key(owner: str, job_id: str, name: str) -> str:
    """Return the key of an object that belongs to a job, such as `payload.json`."""
    return f"{owner_prefix(owner)}jobs/{job_id}/{name}"


def put_of_claim(owner: str, job_id: str, fence: int, name: str, body: bytes, content_type: str) -> str:  # noqa: PLR0913, PLR0917
    """Write an object that a claim of a job made, `image.webp` as `image-1.webp`; returns its key. One PUT.

    Raises as `put_bytes` does.
    """
    stem, dot, suffix = name.rpartition(".")
    key = job_key(owner, job_id, f"{stem}-{fence}.{suffix}" if dot else f"{name}-{fence}")
    put_bytes(key, body, content_type)
    return key


def remove_of_job(owner: str, job_id: str, written_until: int) -> int:
    """Delete what a job keeps in the bucket and was written up to then (seconds since the epoch); returns how many.

    A LIST for 1,000 objects, and a DELETE for those of them that go; again is harmless.

    Raises:
        UnavailableError: the bucket does not answer, or did not delete some of them.
    """
    prefix, removed = job_key(owner, job_id, ""), 0
    request: dict[str, Any] = {"Bucket": require_setting("bucket"), "Prefix": prefix}
    while True:
        with _translate_errors(prefix):
            page = aws.client("s3").list_objects_v2(**request)
        # By whole seconds: the stream and S3 are no more precise, though engines may be.
        old = [one["Key"] for one in page.get("Contents", []) if int(one["LastModified"].timestamp()) <= written_until]
        if old:
            _delete(prefix, old)
        removed += len(old)
        if not page.get("IsTruncated"):
            return removed
        request["ContinuationToken"] = page["NextContinuationToken"]


def _delete(prefix: str, keys: list[str]) -> None:
    batch: DeleteTypeDef = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
    with _translate_errors(prefix):
        answer = aws.client("s3").delete_objects(Bucket=require_setting("bucket"), Delete=batch)
    if errors := answer.get("Errors"):
        raise UnavailableError(f"the bucket kept {len(errors)} objects under {prefix}: {errors[0].get('Code')}")


def check_own_key(owner: str, key: str, *, field: str | None = None) -> None:
    """Refuse a key outside the owner's own prefix. Reads nothing: it does not check that the object exists.

    Raises:
        InvalidInputError: the key is foreign, has an empty, `.` or `..` segment, or is not printable ASCII.
    """
    prefix = owner_prefix(owner)
    segments = key.split("/")
    if not _SAFE_KEY.fullmatch(key) or not key.startswith(prefix) or {"", ".", ".."} & set(segments):
        raise InvalidInputError(f"the key must name an object under {prefix}", field=field)


def create_upload(owner: str, content_type: str, size: int) -> Upload:
    """Let a client put one object of exactly that type and size under the owner's prefix. No call to AWS.

    A presigned form rather than a presigned PUT: its policy makes the bucket itself refuse another key, another type or
    another size.

    Raises:
        InvalidInputError: the type is not an image's, or the size not in 1 to `UPLOAD_LIMIT`; names the field.
    """
    if content_type not in UPLOAD_TYPES:
        raise InvalidInputError(f"content_type must be one of {', '.join(sorted(UPLOAD_TYPES))}", field="content_type")
    limit = settings().upload_limit
    if not 1 <= size <= limit:
        raise InvalidInputError(f"size must be 1 to {limit} bytes", field="size")
    key = f"{owner_prefix(owner)}uploads/{secrets.token_hex(16)}"
    seconds = settings().link_seconds
    form = aws.client("s3").generate_presigned_post(
        require_setting("bucket"),
        key,
        Fields={"Content-Type": content_type},
        Conditions=[{"Content-Type": content_type}, ["content-length-range", size, size]],
        ExpiresIn=seconds,
    )
    expires_at = clock.now_ms() + seconds * 1000
    return Upload(key=key, url=form["url"], method="POST", fields=form["fields"], expires_at=expires_at)


def presign_get(key: str) -> tuple[str, int]:
    """Make a link that reads the object, and when it stops working (ms since the epoch). No call to AWS."""
    seconds = settings().link_seconds
    url = aws.client("s3").generate_presigned_url(
        "get_object", Params={"Bucket": require_setting("bucket"), "Key": key}, ExpiresIn=seconds
    )
    return str(url), clock.now_ms() + seconds * 1000


def address() -> str:
    """Where links lead to: the bucket's own URL, without a slash at its end. No call to AWS."""
    return presign_get("x")[0].partition("?")[0].removesuffix("/x")


def put_bytes(key: str, body: bytes, content_type: str) -> None:
    """Write an object, or replace it. One PUT.

    Raises:
        UnavailableError: the bucket did not take it.
    """
    with _translate_errors(key):
        aws.client("s3").put_object(Bucket=require_setting("bucket"), Key=key, Body=body, ContentType=content_type)


def get_bytes(key: str, limit: int) -> bytes:
    """Read an object's bytes, at most `limit` of them: a larger one is refused before it is read. One GET.

    Raises:
        ObjectNotFoundError: there is none.
        ObjectTooLargeError: it has more than `limit` bytes.
        UnavailableError: the bucket does not answer.
    """
    with _translate_errors(key):
        answer = aws.client("s3").get_object(Bucket=require_setting("bucket"), Key=key)
        with answer["Body"] as body:
            if answer["ContentLength"] > limit:
                raise ObjectTooLargeError(f"the object has {answer['ContentLength']} bytes, the limit is {limit}")
            return bytes(body.read())


def list_keys(owner: str, most: int) -> list[str]:
    """List the keys of an owner's objects in their order, at most `most` (up to 1,000). One LIST.

    Raises:
        UnavailableError: the bucket does not answer.
    """
    prefix = owner_prefix(owner)
    with _translate_errors(prefix):
        answer = aws.client("s3").list_objects_v2(Bucket=require_setting("bucket"), Prefix=prefix, MaxKeys=most)
    return [item["Key"] for item in answer.get("Contents", [])]


def put_json(key: str, value: dict[str, Any]) -> None:
    """Write a JSON object. One PUT; raises as `put_bytes` does."""
    put_bytes(key, msgspec.json.encode(value), "application/json")


def get_json(key: str) -> dict[str, Any]:
    """Read a JSON object that `put_json` wrote, whatever its size. One GET; raises as `get_bytes` does."""
    return msgspec.json.decode(get_bytes(key, sys.maxsize), type=dict[str, Any])


def stat(key: str) -> ObjectFacts:
    """Read the size and content type of an object. One HEAD.

    Raises:
        ObjectNotFoundError: there is none.
        UnavailableError: the bucket does not answer.
    """
    with _translate_errors(key):
        answer = aws.client("s3").head_object(Bucket=require_setting("bucket"), Key=key)
    return ObjectFacts(size=answer["ContentLength"], content_type=answer["ContentType"])


@contextmanager
def _translate_errors(key: str) -> Iterator[None]:
    try:
        yield
    except ClientError as refusal:
        if refusal.response["Error"]["Code"] in _MISSING:
            raise ObjectNotFoundError(f"there is no object {key}") from refusal
        raise UnavailableError("the bucket refused the request") from refusal
    except BotoCoreError as failure:
        raise UnavailableError("the bucket does not answer") from failure
