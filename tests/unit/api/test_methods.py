"""HEAD and OPTIONS: what HTTP says of them, on every path."""

import pytest

from api.access import ACCESS
from support.api_gateway import call, post

pytestmark = pytest.mark.usefixtures("cloud")

PATHS = sorted({path for _, path in ACCESS})
READ = sorted(path for method, path in ACCESS if method == "GET")


def parameters(path: str) -> dict[str, str] | None:
    names = [part.partition("}")[0] for part in path.split("{")[1:]]
    return {name: {"asset": "start.js"}.get(name, "ann") for name in names} or None


@pytest.mark.parametrize("path", READ)
def test_head_answers_as_get_does_without_the_body(path: str) -> None:
    # Given a path that can be read
    post("/api/users", {"userId": "ann"})
    # When it is asked for by GET and by HEAD
    whole, head = (call(method, path, path=parameters(path)) for method in ("GET", "HEAD"))
    # Then both have the same status and headers, refusals too, and HEAD has no body
    assert (head.status, head.text) == (whole.status, "")
    assert head.headers == {**whole.headers, "content-length": str(len(whole.text.encode()))}


@pytest.mark.parametrize("path", PATHS)
def test_options_names_every_method_of_a_path(path: str) -> None:
    # Given a path and the methods that its routes have
    methods = {method for method, at in ACCESS if at == path}
    heads = {"HEAD"} if "GET" in methods else set()
    # When a program that is no browser asks for its options, without a token
    answer = call("OPTIONS", path, path=parameters(path), caller=None)
    # Then `Allow` lists them all
    assert (answer.status, answer.text) == (204, "")
    assert set(answer.headers["allow"].split(", ")) == methods | heads | {"OPTIONS"}
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", READ)
def test_head_needs_the_token_that_get_needs(path: str) -> None:
    whole, head = (call(method, path, path=parameters(path), caller=None) for method in ("GET", "HEAD"))
    assert head.status == whole.status
