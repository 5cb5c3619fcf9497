"""A client of Leaseway's HTTP API: JSON in, JSON out, problem documents as exceptions."""

import time
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from leaseway_local.errors import LocalCloudError


class UnexpectedAnswerError(LocalCloudError):
    """The API's answer is not what this version of `leaseway` can read."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"the API's answer {why}.", "Is the deployment of another version? `leaseway status` shows it."
        )


class _Document(dict[str, Any]):
    """An object of an answer, in which a missing field is an error with a name."""

    def __missing__(self, name: str) -> Any:
        raise UnexpectedAnswerError(f"has no field {name!r}")


_REPEATS = 2
_PAUSE_SECONDS = 1.0  # the API's Retry-After


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

    def get(self, path: str, **query: Any) -> Any:
        """GET `path`, which begins with a slash; the body as Python values.

        Raises:
            ApiProblem: the answer is not 2xx.
            LocalCloudError: nothing answers.
        """
        return self._json("GET", path, params={name: value for name, value in query.items() if value is not None})

    def post(self, path: str, body: Any = None) -> Any:
        """POST `body` as JSON; the answer as Python values. Raises what `get` raises."""
        return self._json("POST", path, json=body)

    def patch(self, path: str, body: Any) -> Any:
        """PATCH `path` with `body` as JSON; the answer as Python values. Raises what `get` raises."""
        return self._json("PATCH", path, json=body)

    def put(self, path: str, body: Any) -> Any:
        """PUT `path` with `body` as JSON; the answer as Python values. Raises what `get` raises."""
        return self._json("PUT", path, json=body)

    def post_once(self, path: str, body: Any) -> Any:
        """POST `body` with a new Idempotency-Key, so that a repeat after a 503 has no second effect.

        Raises what `get` raises.
        """
        key = {"Idempotency-Key": str(uuid.uuid4())}
        for _ in range(_REPEATS):
            try:
                return self._json("POST", path, json=body, headers=key)
            except ApiProblem as problem:
                if problem.status != 503:
                    raise
                time.sleep(_PAUSE_SECONDS)
        return self._json("POST", path, json=body, headers=key)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request and return the response, whatever its status. Options are those of httpx."""
        try:
            return self._http.request(method, path.lstrip("/"), **options)
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

    def _json(self, method: str, path: str, **options: Any) -> Any:
        answer = self.request(method, path, **options)
        try:
            content = answer.json(object_hook=_Document) if answer.content else None
        except (ValueError, RecursionError) as problem:
            if answer.is_success:
                raise UnexpectedAnswerError("is not JSON") from problem
            content = {"detail": answer.text[:200]}
        if answer.is_success:
            if answer.content and not isinstance(content, dict):
                raise UnexpectedAnswerError("is not a JSON object")
            return content
        raise ApiProblem(answer.status_code, content if isinstance(content, dict) else {"detail": str(content)})
