"""Each job type on the deployed stack: over HTTP into the queue, through the worker, to a result that is real."""

import base64
import io
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from PIL import Image, ImageDraw

from leaseway_local.connection.api_client import ApiProblem
from support.deployed_stacks import AnyEngine, DeployedStack, StackFactory
from support.http_servers import CountingServer, Reply, run_counting_server
from support.job_stream import TERMINAL, read_job_changes
from support.waiting import wait_until

RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture(scope="module")
def server() -> Iterator[CountingServer]:
    """The one server that HTTP jobs of this module's stack may reach."""
    with run_counting_server() as counting:
        yield counting


@pytest.fixture(scope="module")
def executing(make_stack: StackFactory, server: CountingServer) -> DeployedStack:
    return make_stack("executors", HttpAllowedHosts=server.pair, SweeperEnabled=False)


def create(stack: DeployedStack, name: str, payload: dict[str, Any], **options: Any) -> str:
    return stack.api.post("/api/v1/jobs", {"type": name, "payload": payload, **options})["id"]


def outcome(stack: DeployedStack, job_id: str, seconds: float = 60) -> dict[str, Any]:
    """How the job ended: status and result or error_message."""
    job = f"/api/v1/jobs/{job_id}"
    wait_until(lambda: stack.api.get(job)["status"] in TERMINAL, seconds=seconds, what=f"the end of {job_id}")
    return stack.api.get(f"{job}/result")


def result_of(stack: DeployedStack, name: str, payload: dict[str, Any]) -> Any:
    ended = outcome(stack, create(stack, name, payload))
    assert ended["status"] == "COMPLETED", ended
    return ended["result"]


def failure_of(stack: DeployedStack, name: str, payload: dict[str, Any]) -> str:
    ended = outcome(stack, create(stack, name, payload, max_attempts=1))
    assert ended["status"] == "FAILED", ended
    return ended["error_message"]


def picture(width: int, height: int, kind: str) -> bytes:
    """Red on the left, blue on the right."""
    drawn = Image.new("RGB", (width, height), RED)
    ImageDraw.Draw(drawn).rectangle((width // 2, 0, width, height), BLUE)
    buffer = io.BytesIO()
    drawn.save(buffer, kind, quality=90)
    return buffer.getvalue()


def check_linked_picture(result: dict[str, Any], kind: str, size: tuple[int, int]) -> None:
    """What the link of the result gives, without any other right, is the picture that the result describes."""
    answer = httpx.get(result["url"], trust_env=False)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == result["content_type"] == f"image/{kind}"
    assert len(answer.content) == result["size"]
    seen = Image.open(io.BytesIO(answer.content))
    assert (seen.format, seen.size) == (kind.upper(), size) == (kind.upper(), (result["width"], result["height"]))
    left, right = (seen.convert("RGB").getpixel((x, size[1] // 2)) for x in (size[0] // 8, size[0] * 7 // 8))
    assert left[0] - left[2] > 200
    assert right[2] - right[0] > 200


def send_form(upload: dict[str, Any], data: bytes, **changed: str) -> httpx.Response:
    return httpx.post(upload["url"], data={**upload["fields"], **changed}, files={"file": data}, trust_env=False)


def test_sleep_sleeps(executing: DeployedStack) -> None:
    assert result_of(executing, "SLEEP", {"duration_ms": 150})["slept_ms"] >= 145


def test_generate_login_and_number_use_their_parameters(executing: DeployedStack) -> None:
    login = result_of(executing, "GENERATE_LOGIN", {"length": 24})["login"]
    assert len(login) == 24
    assert login.isalnum()
    assert len(result_of(executing, "GENERATE_LOGIN", {})["login"]) == 10
    assert len(str(result_of(executing, "GENERATE_NUMBER", {"digits": 15})["number"])) == 15
    assert 10_000_000 <= result_of(executing, "GENERATE_NUMBER", {})["number"] <= 99_999_999


def test_http_get_keeps_the_answer_and_counts_redirects(executing: DeployedStack, server: CountingServer) -> None:
    server.replies["/page"] = Reply(404, "nicht da: ü".encode(), {"Content-Type": "text/plain"})
    server.redirect("/old", "/page")
    result = result_of(executing, "HTTP_GET", {"url": server.url("/old")})
    assert (result["status"], result["body"], result["redirects"]) == (404, "nicht da: ü", 1)
    assert result["url"] == server.url("/page")


def test_a_result_too_large_for_the_table_comes_back_whole(executing: DeployedStack, server: CountingServer) -> None:
    server.replies["/large"] = Reply(200, b"0123456789" * 6_000)
    result = result_of(executing, "HTTP_GET", {"url": server.url("/large")})
    assert result["body"] == "0123456789" * 6_000
    assert (result["size"], result["truncated"]) == (60_000, False)


def test_an_eight_megapixel_upload_comes_back_at_the_asked_size(executing: DeployedStack) -> None:
    # Given a JPEG of 8 megapixels, uploaded through the presigned form
    photo = picture(3_456, 2_304, "JPEG")
    upload = executing.api.post("/api/v1/uploads", {"content_type": "image/jpeg", "size": len(photo)})
    assert send_form(upload, photo).status_code == 204
    # When it is resized
    payload = {"source": {"key": upload["key"]}, "width": 640, "height": 426, "format": "webp"}
    result = result_of(executing, "IMAGE_RESIZE", payload)
    # Then the link of the result gives that picture at that size
    check_linked_picture(result, "webp", (640, 426))


@pytest.mark.only_on("ministack", because="LocalStack lets a form carry an acl that its policy does not name")
def test_the_bucket_itself_refuses_another_size_type_or_key(executing: DeployedStack) -> None:
    data = picture(40, 40, "PNG")
    upload = executing.api.post("/api/v1/uploads", {"content_type": "image/png", "size": len(data)})
    refused = [
        send_form(upload, data + b"x"),
        send_form(upload, data[:-1]),
        send_form(upload, data, **{"Content-Type": "text/html"}),
        send_form(upload, data, key=upload["key"] + "x"),
        send_form(upload, data, acl="public-read"),
    ]
    assert [answer.status_code // 100 for answer in refused] == [4] * 5
    bucket = executing.client("s3").list_objects_v2(Bucket=executing.outputs["Bucket"], Prefix=upload["key"])
    assert bucket["KeyCount"] == 0


def test_a_picture_may_come_from_a_url_or_in_the_request(executing: DeployedStack, server: CountingServer) -> None:
    drawn = picture(80, 40, "PNG")
    server.replies["/photo.png"] = Reply(200, drawn)
    for source in ({"url": server.url("/photo.png")}, {"base64": base64.b64encode(drawn).decode()}):
        result = result_of(executing, "IMAGE_RESIZE", {"source": source, "width": 40, "height": 20, "format": "jpeg"})
        check_linked_picture(result, "jpeg", (40, 20))


def test_what_is_no_picture_fails_with_the_reason(executing: DeployedStack) -> None:
    source = {"base64": base64.b64encode(b"no picture").decode()}
    message = failure_of(executing, "IMAGE_RESIZE", {"source": source, "width": 40, "height": 20})
    assert "not a picture that can be read" in message


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f000001", "2130706433", "127.1", "[::ffff:127.0.0.1]"])
def test_the_engines_own_port_is_refused_at_creation(executing: DeployedStack, engine: AnyEngine, host: str) -> None:
    url = f"http://{host}:{engine.port}/"
    for name, payload in (
        ("HTTP_GET", {"url": url}),
        ("IMAGE_RESIZE", {"source": {"url": url}, "width": 1, "height": 1}),
    ):
        with pytest.raises(ApiProblem) as refusal:
            create(executing, name, payload)
        assert (refusal.value.status, refusal.value.code) == (400, "URL_REFUSED")


def test_the_engines_own_port_is_refused_behind_a_redirect(
    executing: DeployedStack, engine: AnyEngine, server: CountingServer
) -> None:
    server.redirect("/to-the-engine", f"http://127.0.0.1:{engine.port}/")
    message = failure_of(executing, "HTTP_GET", {"url": server.url("/to-the-engine")})
    assert message.endswith("127.0.0.1 is not a public address")


def test_another_owners_object_is_refused_at_creation(executing: DeployedStack) -> None:
    payload = {"source": {"key": "owners/somebody/uploads/1"}, "width": 1, "height": 1}
    with pytest.raises(ApiProblem) as refusal:
        create(executing, "IMAGE_RESIZE", payload)
    assert refusal.value.status == 400


def test_five_hundred_fetches_hit_the_server_once_each(
    executing: DeployedStack, server: CountingServer, many: Callable[[int], int]
) -> None:
    # Given 500 jobs, each for a URL of its own
    paths = [f"/count/{number}" for number in range(many(500))]
    job_ids = executing.create_jobs([{"type": "HTTP_GET", "payload": {"url": server.url(path)}} for path in paths])

    # When all have ended
    table, expected_ids = executing.outputs["JobsTable"], set(job_ids)

    def ends() -> Any:
        seen = [change.new for change in read_job_changes(executing.client, table) if change.ends_the_job]
        ours = [item for item in seen if item["id"] in expected_ids]
        return ours if len(ours) >= len(paths) else None

    ended = wait_until(ends, seconds=240, what="the end of all", every=2)

    # Then each completed once, and the server was asked for each URL exactly once
    assert sorted(item["id"] for item in ended) == sorted(job_ids)
    assert {item["status"] for item in ended} == {"COMPLETED"}
    assert sorted(path for path in server.hits if path.startswith("/count/")) == sorted(paths)
