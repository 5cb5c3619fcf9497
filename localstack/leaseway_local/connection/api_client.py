"""A client of Leaseway's HTTP API: JSON in, JSON out, problem documents as exceptions."""

import time
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, overload

import httpx

from leaseway_local.answer_checks import Shape, UnexpectedAnswerError, check_answer
from leaseway_local.errors import LocalCloudError

_REPEATS = 2
_PAUSE_SECONDS = 1.0  # the API's Retry-After
_QUOTED_CHARACTERS = 200


class ApiProblem(Exception):  # noqa: N818 - it is what RFC 9457 calls it
    """The API refused a request: `status`, the stable `code`, and the whole problem document."""

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        self.status = status
        self.document = dict(document)
        self.code = str(document.get("code", ""))
        detail = document.get("detail") or document.get("title") or document.get("message") or "no detail"
        super().__init__(f"{status} {self.code}: {detail}".replace(" :", ":"))


class ApiClient:
    """A client of one API, signed in by `auth`. Safe to share between threads."""

    def __init__(
        self,
        base_url: str,
        *,
        auth: httpx.Auth | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 35,
    ) -> None:
        self.auth = auth
        self.base_url = base_url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.base_url + "/",
            auth=auth,
            headers=dict(headers or {}),
            timeout=timeout,
            trust_env=False,  # a proxy in the environment could not reach this machine
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=100),
        )

    @overload
    def get(self, path: str, /, **query: Any) -> Any: ...
    @overload
    def get(self, path: str, shape: type[Shape], /, **query: Any) -> Shape: ...
    def get(self, path: str, shape: Any = dict, /, **query: Any) -> Any:
        """GET `path`, which begins with a slash; the body as Python values, with the fields of `shape`.

        Raises:
            ApiProblem: the answer is not 2xx.
            LocalCloudError: nothing answers.
            UnexpectedAnswerError: the answer is not a JSON object of this shape.
        """
        given_query = {name: value for name, value in query.items() if value is not None}
        return self._exchange("GET", path, shape, params=given_query)

    @overload
    def post(self, path: str, body: Any = None, /) -> Any: ...
    @overload
    def post(self, path: str, body: Any, shape: type[Shape], /) -> Shape: ...
    def post(self, path: str, body: Any = None, shape: Any = dict, /) -> Any:
        """POST `body` as JSON; the answer as Python values. Raises what `get` raises."""
        return self._exchange("POST", path, shape, json=body)

    @overload
    def patch(self, path: str, body: Any, /) -> Any: ...
    @overload
    def patch(self, path: str, body: Any, shape: type[Shape], /) -> Shape: ...
    def patch(self, path: str, body: Any, shape: Any = dict, /) -> Any:
        """PATCH `path` with `body` as JSON; the answer as Python values. Raises what `get` raises."""
        return self._exchange("PATCH", path, shape, json=body)

    def put(self, path: str, body: Any) -> Any:
        """PUT `path` with `body` as JSON; the answer as Python values. Raises what `get` raises."""
        return self._exchange("PUT", path, dict, json=body)

    @overload
    def post_once(self, path: str, body: Any, /) -> Any: ...
    @overload
    def post_once(self, path: str, body: Any, shape: type[Shape], /) -> Shape: ...
    def post_once(self, path: str, body: Any, shape: Any = dict, /) -> Any:
        """POST `body` with a new Idempotency-Key, so that a repeat after a 503 has no second effect.

        Raises what `get` raises.
        """
        key = {"Idempotency-Key": str(uuid.uuid4())}
        for _ in range(_REPEATS):
            try:
                return self._exchange("POST", path, shape, json=body, headers=key)
            except ApiProblem as problem:
                if problem.status != 503:
                    raise
                time.sleep(_PAUSE_SECONDS)
        return self._exchange("POST", path, shape, json=body, headers=key)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request and return the response, whatever its status. Options are those of httpx."""
        try:
            return self._http.request(method, path.lstrip("/"), **options)
        except UnicodeEncodeError as problem:
            raise LocalCloudError(f"{method} {path}: what would be sent is not valid Unicode text.") from problem
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            raise LocalCloudError(
                f"{method} {path}: nothing answers at {self.base_url} ({type(problem).__name__}: {problem}).",
                "`leaseway status` shows what runs, `leaseway up` starts it.",
            ) from problem

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _exchange(self, method: str, path: str, shape: type[Any], **options: Any) -> Any:
        answer = self.request(method, path, **options)
        if not answer.is_success:
            raise read_problem(answer)
        if not answer.content and shape is dict:
            return None
        return read_answer(answer, shape)


def read_answer(answer: httpx.Response, shape: type[Shape]) -> Shape:
    """Parse the body of an answer and check it.

    Raises:
        UnexpectedAnswerError: it is not JSON of this shape.
    """
    try:
        document = answer.json()
    except (ValueError, RecursionError) as problem:
        raise UnexpectedAnswerError("is not JSON") from problem
    return check_answer(document, shape)


def read_problem(answer: httpx.Response) -> ApiProblem:
    """Turn an answer that is not 2xx into an exception; one that is no problem document is quoted."""
    try:
        document = answer.json()
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        document = {"detail": answer.text[:_QUOTED_CHARACTERS]}
    return ApiProblem(answer.status_code, document)
