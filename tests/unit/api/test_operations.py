from unit.api.gateway import REQUEST_ID, call


def test_health_answers_without_any_other_part() -> None:
    # Given no table, queue or bucket at all
    # When somebody asks whether the API is alive
    answer = call("GET", "/health")
    # Then it says so
    assert (answer.status, answer.json) == (200, {"status": "ok"})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"] == REQUEST_ID
