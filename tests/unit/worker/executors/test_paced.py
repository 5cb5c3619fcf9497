"""Work that is spread over a time: what it finds, how long it takes, and that it stops when cancelled."""

import io
import threading
from collections.abc import Callable

import pytest
from PIL import Image

from leaseway import clock, objects
from leaseway.jobs.types import JobError, JsonObject, job_type
from leaseway.settings import settings
from support.http_servers import Reply, run_counting_server
from support.running_job import RunningJob

SPREAD = ("PICTURE_SERIES", "PRIME_COUNT", "STORAGE_AUDIT", "URL_CHECK")


@pytest.mark.parametrize("name", SPREAD)
def test_two_minutes_is_what_such_a_job_takes_by_default(name: str) -> None:
    payload = {"urls": ["https://example.com/"]} if name == "URL_CHECK" else {}
    assert job_type(name).parse(payload).duration_ms == 120_000


def test_primes_are_counted(run_job: Callable[..., JsonObject]) -> None:
    assert run_job("PRIME_COUNT", {"below": 1_000_000, "duration_ms": 0}) == {"primes": 78_498, "largest": 999_983}
    assert run_job("PRIME_COUNT", {"below": 2, "duration_ms": 0}) == {"primes": 0, "largest": None}
    assert run_job("PRIME_COUNT", {"below": 12, "duration_ms": 0}) == {"primes": 5, "largest": 11}


def test_work_is_spread_over_its_time(run_job: Callable[..., JsonObject]) -> None:
    began = clock.now_ms()
    run_job("PRIME_COUNT", {"below": 1_000, "duration_ms": 400})
    assert clock.now_ms() - began >= 400


def test_work_that_is_spread_reports_each_step(run_job: Callable[..., JsonObject], job: RunningJob) -> None:
    run_job("PRIME_COUNT", {"below": 1_000, "duration_ms": 0})
    assert job.progress_reports[0] == (1 / 20, "segment 1 of 20")
    assert job.progress_reports[-1] == (1.0, "segment 20 of 20")


def test_a_job_that_is_cancelled_stops_between_two_steps(run_job: Callable[..., JsonObject], job: RunningJob) -> None:
    threading.Timer(0.2, job.cancel).start()
    with pytest.raises(JobError, match="stopped after"):
        run_job("PRIME_COUNT", {"below": 1_000, "duration_ms": 60_000})


@pytest.mark.usefixtures("cloud")
def test_a_series_becomes_one_sheet(run_job: Callable[..., JsonObject]) -> None:
    result = run_job("PICTURE_SERIES", {"frames": 6, "width": 64, "thumbnail": 40, "duration_ms": 0})
    with Image.open(io.BytesIO(objects.get_bytes(result["key"], 1_000_000))) as sheet:
        assert sheet.size == (result["width"], result["height"]) == (160, 60)
        assert len({sheet.crop((x, 0, x + 40, 30)).tobytes() for x in (0, 40, 80, 120)}) == 4


@pytest.mark.usefixtures("cloud")
def test_an_audit_finds_what_is_there_twice(run_job: Callable[..., JsonObject]) -> None:
    for number, content in enumerate((b"one", b"two!", b"one")):
        objects.put_bytes(objects.job_key("anna", "j", f"{number}.bin"), content, "image/png")
    objects.put_bytes(objects.job_key("bob", "j", "0.bin"), b"not hers", "image/png")
    result = run_job("STORAGE_AUDIT", {"duration_ms": 0})
    assert (result["objects"], result["bytes"], result["duplicates"], result["complete"]) == (3, 10, 1, True)
    assert result["largest"] == objects.job_key("anna", "j", "1.bin")


def test_a_check_reports_who_answered_and_who_did_not(
    run_job: Callable[..., JsonObject], monkeypatch: pytest.MonkeyPatch
) -> None:
    with run_counting_server() as server:
        monkeypatch.setenv("HTTP_ALLOWED_HOSTS", f"{server.pair},127.0.0.1:1")
        settings.cache_clear()
        server.replies["/busy"] = Reply(503, b"later")
        urls = [server.url("/well"), server.url("/busy"), "http://127.0.0.1:1/"]
        result = run_job("URL_CHECK", {"urls": urls, "rounds": 2, "duration_ms": 0})
    well, busy, down = result["urls"]
    assert (well["answered"], well["status"], busy["answered"], busy["status"]) == (2, 200, 2, 503)
    assert (down["answered"], down["failed"], bool(down["error"])) == (0, 2, True)
    assert server.hits == ["/well", "/busy"] * 2


def test_a_url_that_redirects_nowhere_fails_alone(
    run_job: Callable[..., JsonObject], monkeypatch: pytest.MonkeyPatch
) -> None:
    places = ["http://[", "http://:x/", "http://169.254.169.254/", "http://a..b/", "mailto:a@example.org"]
    with run_counting_server() as server:
        monkeypatch.setenv("HTTP_ALLOWED_HOSTS", server.pair)
        settings.cache_clear()
        urls = [server.redirect(f"/{number}", place) for number, place in enumerate(places)]
        result = run_job("URL_CHECK", {"urls": [*urls, server.url("/well")], "rounds": 1, "duration_ms": 0})
    *broken, well = result["urls"]
    assert well["answered"] == 1
    for place, record in zip(places, broken, strict=True):
        assert record["failed"] == 1
        assert record["error"].startswith(f"the redirect to {place!r} is refused")
