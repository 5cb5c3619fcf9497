"""What AWS answers is checked where it is parsed: each wrong answer is one error that names the answer."""

from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import pytest
from botocore.exceptions import ClientError

from leaseway_local.connection.answer_parser import AwsAnswerError
from leaseway_local.connection.clients import Clients, Target
from support.stub_deployment import Answer, StubDeployment

CALLS: dict[str, Callable[[Clients], Any]] = {
    "json": lambda clients: clients.get("secretsmanager").list_secret_version_ids(SecretId="s")["Versions"],
    "json-1.0": lambda clients: clients.get("sqs").get_queue_attributes(QueueUrl="http://127.0.0.1/q")["Attributes"],
    "rest-json": lambda clients: clients.get("lambda").get_function_configuration(FunctionName="f")["CodeSha256"],
    "query": lambda clients: clients.get("cloudformation").describe_stacks()["Stacks"],
    "rest-xml": lambda clients: clients.get("s3").list_objects_v2(Bucket="b")["KeyCount"],
}


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubDeployment]:
    monkeypatch.setenv("LOCALSTACK_HOST", "127.0.0.1:4566")
    stub = StubDeployment(lambda _: Answer.of({}))
    with stub.install(), patch("botocore.endpoint.time.sleep"):
        yield stub


def call(deployment: StubDeployment, protocol: str, answer: Answer) -> Any:
    with patch.object(deployment, "respond_as_aws", lambda _: answer):
        return CALLS[protocol](Clients(Target.LOCALSTACK))


@pytest.mark.parametrize("body", [b"", b"<html>hello</html>", b"{}", b"null", b"[]", b"5", b'{"a": 1', b"\xff\xfe"])
@pytest.mark.parametrize("protocol", sorted(CALLS.keys() - {"rest-xml"}))  # S3's are repeated as failures by botocore
def test_a_body_of_another_kind_is_an_error_of_the_answer(
    deployment: StubDeployment, protocol: str, body: bytes
) -> None:
    with pytest.raises(AwsAnswerError, match=r"^AWS's [A-Za-z0-9]+ (has no field|cannot be read|is not an object)"):
        call(deployment, protocol, Answer(200, body))


@pytest.mark.parametrize("body", [b"", b"<html>hello</html>", b"{}", b"null", b"[]", b'{"a": 1', b'{"__type": 5}'])
@pytest.mark.parametrize("protocol", CALLS)
def test_a_refusal_with_a_body_of_another_kind_is_an_error_of_aws(
    deployment: StubDeployment, protocol: str, body: bytes
) -> None:
    with pytest.raises((AwsAnswerError, ClientError)):
        call(deployment, protocol, Answer(400, body))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{}", "has no field 'Versions' in ListSecretVersionIdsResponse"),
        (b'{"Versions": 5}', "cannot be read: TypeError"),
        (b'{"Versions": [null]}', "has a value that is not a structure as SecretVersionsListEntry"),
        (b'{"Versions": [{"CreatedDate": "soon"}]}', "cannot be read: ValueError"),
        (b'{"Versions": [{"CreatedDate": 1e999}]}', "cannot be read: "),
    ],
)
def test_the_error_names_what_is_wrong(deployment: StubDeployment, body: bytes, why: str) -> None:
    with pytest.raises(AwsAnswerError, match=r"^AWS's ListSecretVersionIdsResponse ") as raised:
        call(deployment, "json", Answer(200, body))

    assert why in raised.value.what


def test_a_nested_field_that_is_missing_is_named(deployment: StubDeployment) -> None:
    versions = call(deployment, "json", Answer(200, b'{"Versions": [{"VersionId": "1"}]}'))

    assert versions == [{"VersionId": "1"}]
    assert versions[0].get("CreatedDate") is None
    with pytest.raises(AwsAnswerError, match="has no field 'CreatedDate' in SecretVersionsListEntry"):
        versions[0]["CreatedDate"]


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("VersionId", b"5", "has a value that is not a string as SecretVersionIdType"),
        ("VersionId", b"[]", "has a value that is not a string as SecretVersionIdType"),
        ("VersionStages", b"[[]]", "has a value that is not a string as SecretVersionStageType"),
        ("VersionStages", b'[true, "AWSCURRENT"]', "has a value that is not a string as SecretVersionStageType"),
        ("KmsKeyIds", b"[5]", "has a value that is not a string as KmsKeyIdType"),
    ],
)
def test_a_field_of_another_type_is_an_error_if_it_is_read(
    deployment: StubDeployment, field: str, value: bytes, why: str
) -> None:
    body = b'{"Versions": [{"LastAccessedDate": 5, "%s": %s}]}' % (field.encode(), value)

    [version] = call(deployment, "json", Answer(200, body))

    assert list(version) == ["LastAccessedDate"]
    for read in (lambda: version[field], lambda: version.get(field)):
        with pytest.raises(AwsAnswerError, match=why):
            read()


def test_a_name_that_no_answer_can_have_is_a_mistake_of_the_code(deployment: StubDeployment) -> None:
    versions = call(deployment, "json", Answer(200, b'{"Versions": [{}]}'))

    with pytest.raises(KeyError, match="CreatedOn"):
        versions[0]["CreatedOn"]


def test_right_answers_of_each_kind_are_returned_as_botocore_reads_them(deployment: StubDeployment) -> None:
    assert call(deployment, "json-1.0", Answer(200, b'{"Attributes": {"DelaySeconds": "5"}}')) == {"DelaySeconds": "5"}
    assert call(deployment, "rest-json", Answer(200, b'{"CodeSha256": "x", "Timeout": 3}')) == "x"
    assert call(deployment, "rest-xml", Answer(200, b"<R><KeyCount>5</KeyCount></R>")) == 5
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        call(deployment, "rest-json", Answer(404, b'{"__type": "ResourceNotFoundException", "message": "no"}'))
