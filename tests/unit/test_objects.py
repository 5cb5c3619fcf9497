"""The bucket: keys belong to owners, links and forms are bounded, failures are domain errors."""

import base64
import json

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from leaseway import aws, clock, objects
from leaseway.errors import InvalidInputError, UnavailableError
from leaseway.settings import settings


def policy_of(upload: objects.Upload) -> dict:
    return json.loads(base64.b64decode(upload.fields["policy"]))


@given(st.text(), st.text())
def test_two_owners_never_share_a_prefix(one: str, other: str) -> None:
    first, second = objects.owner_prefix(one), objects.owner_prefix(other)
    assert first.startswith(second) == (one == other)


@given(st.text(min_size=1))
def test_an_owner_is_exactly_one_plain_segment_of_a_key(owner: str) -> None:
    root, segment, end = objects.owner_prefix(owner).split("/")
    assert (root, end) == ("owners", "")
    assert segment.isascii()
    assert "." not in segment


def test_an_owner_may_use_keys_under_the_own_prefix() -> None:
    objects.check_own_key("anna", "owners/anna/uploads/0a1b")
    objects.check_own_key("a/b", objects.job_key("a/b", "00ff", "image-1.png"))


@pytest.mark.parametrize(
    "key",
    [
        "owners/bert/uploads/1",
        "owners/annabel/uploads/1",
        "owners/anna/../bert/uploads/1",
        "owners/anna/./uploads/1",
        "owners/anna//uploads/1",
        "owners/anna/",
        "owners/anna",
        "/owners/anna/uploads/1",
        "owners/anna/uploads/\n1",
        "owners/anna/uploads/ä",
        "owners/anna/" + "x" * 1024,
        "",
    ],
)
def test_a_key_outside_the_own_prefix_is_refused(key: str) -> None:
    with pytest.raises(InvalidInputError, match="under owners/anna/") as refusal:
        objects.check_own_key("anna", key, field="payload.source.key")
    assert refusal.value.field == "payload.source.key"


def test_an_upload_form_binds_key_type_and_size() -> None:
    # Given a client that announces a JPEG of 12,345 bytes
    with clock.fixed(lambda: 1_700_000_000.0):
        upload = objects.create_upload("anna", "image/jpeg", 12_345)

    # Then the form goes to the bucket, for a fresh key of that owner
    assert upload.method == "POST"
    assert upload.url.endswith("/leaseway-bucket")
    assert upload.key.startswith("owners/anna/uploads/")
    assert upload.fields["key"] == upload.key
    assert upload.fields["Content-Type"] == "image/jpeg"
    assert upload.expires_at == 1_700_000_300_000
    # And its signed policy admits that key, that type and that size alone
    conditions = policy_of(upload)["conditions"]
    assert {"key": upload.key} in conditions
    assert {"Content-Type": "image/jpeg"} in conditions
    assert ["content-length-range", 12_345, 12_345] in conditions
    assert {"bucket": "leaseway-bucket"} in conditions


def test_every_upload_has_a_key_of_its_own() -> None:
    keys = {objects.create_upload("anna", "image/png", 1).key for _ in range(20)}
    assert len(keys) == 20


@pytest.mark.parametrize(
    ("content_type", "size", "field"),
    [
        ("text/html", 10, "content_type"),
        ("image/svg+xml", 10, "content_type"),
        ("IMAGE/PNG", 10, "content_type"),
        ("", 10, "content_type"),
        ("image/png", 0, "size"),
        ("image/png", -1, "size"),
        ("image/png", 26_214_401, "size"),
    ],
)
def test_an_upload_of_another_type_or_size_is_refused(content_type: str, size: int, field: str) -> None:
    with pytest.raises(InvalidInputError, match=field) as refusal:
        objects.create_upload("anna", content_type, size)
    assert refusal.value.field == field


def test_a_link_reads_one_object_for_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINK_SECONDS", "60")
    settings.cache_clear()
    with clock.fixed(lambda: 1_700_000_000.0):
        url, expires_at = objects.presign_get("owners/a=2Eb/jobs/1/image-1.png")
    assert "/leaseway-bucket/owners/a%3D2Eb/jobs/1/image-1.png?" in url
    assert "X-Amz-Expires=60" in url
    assert expires_at == 1_700_000_060_000


@pytest.mark.usefixtures("cloud")
def test_what_is_put_is_what_is_got() -> None:
    objects.put_bytes("owners/anna/uploads/1", b"bytes", "image/png")
    objects.put_json("owners/anna/jobs/1/result.json", {"n": 1, "s": "ä"})

    assert objects.get_bytes("owners/anna/uploads/1", 5) == b"bytes"
    assert objects.get_json("owners/anna/jobs/1/result.json") == {"n": 1, "s": "ä"}
    assert objects.stat("owners/anna/uploads/1") == objects.ObjectFacts(size=5, content_type="image/png")


@pytest.mark.usefixtures("cloud")
def test_an_object_above_the_readers_limit_is_refused() -> None:
    objects.put_bytes("owners/anna/uploads/1", b"123456", "image/png")
    with pytest.raises(objects.ObjectTooLargeError, match="6 bytes, the limit is 5"):
        objects.get_bytes("owners/anna/uploads/1", 5)


@pytest.mark.usefixtures("cloud")
def test_a_missing_object_is_not_found() -> None:
    with pytest.raises(objects.ObjectNotFoundError):
        objects.get_bytes("owners/anna/uploads/none", 5)
    with pytest.raises(objects.ObjectNotFoundError):
        objects.stat("owners/anna/uploads/none")


def test_a_refusal_of_the_bucket_is_not_mistaken_for_a_missing_object() -> None:
    with Stubber(aws.client("s3")) as stub:
        stub.add_client_error("get_object", "SlowDown", http_status_code=503)
        with pytest.raises(UnavailableError):
            objects.get_bytes("owners/anna/uploads/1", 5)


def test_a_bucket_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1")

    monkeypatch.setattr(aws.client("s3"), "put_object", unreachable)
    with pytest.raises(UnavailableError):
        objects.put_bytes("owners/anna/uploads/1", b"x", "image/png")
