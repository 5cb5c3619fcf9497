"""Sign in to a deployment's API: the token is fetched at first use, and again before it expires."""

import time
from collections.abc import Generator
from threading import Lock
from typing import Annotated, Any, TypedDict

import httpx
from msgspec import Meta

from leaseway_local.answer_checks import parse_answer
from leaseway_local.connection.clients import Clients
from leaseway_local.connection.outputs import Outputs
from leaseway_local.errors import LocalCloudError

_EARLY_SECONDS = 30  # a token this close to its expiry is not sent

Token = Annotated[str, Meta(pattern=r"\A[!-~]+\Z")]
"""What a header can carry."""


class GrantedToken(TypedDict):
    """A bearer token, as the OAuth token endpoint grants it."""

    access_token: Token
    expires_in: float


class SignInRefusedError(LocalCloudError):
    """The name or password is wrong, or the name is locked for a while."""


class SignIn(httpx.Auth):
    """A user's name and password at one API; as httpx's `auth` it adds the bearer token to each request.

    `token` and `good_until` (seconds since the epoch) are those of an earlier fetch, if there was one.
    """

    def __init__(self, api_url: str, username: str, password: str, *, token: str = "", good_until: float = 0) -> None:
        self.username = username
        self.password = password
        self.good_until = good_until
        self._url = f"{api_url}/connect/token"
        self._token = token
        self._fetching = Lock()

    def token(self) -> str:
        """The bearer token, valid for at least another 30 seconds.

        Raises:
            SignInRefusedError: the API refused to issue one; carries its reason.
            LocalCloudError: nothing answers, or a session without a password has expired.
        """
        with self._fetching:
            if not self.is_fresh():
                self._fetch()
            return self._token

    def is_fresh(self) -> bool:
        """Whether there is a token that is valid for at least another 30 seconds."""
        return time.time() < self.good_until - _EARLY_SECONDS

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """httpx's hook."""
        request.headers["authorization"] = f"Bearer {self.token()}"
        yield request

    def _fetch(self) -> None:
        if not self.password:
            raise LocalCloudError(f"the session of {self.username} has expired.", "`leaseway login` opens a new one.")
        form = {"grant_type": "password", "username": self.username, "password": self.password}
        try:
            answer = httpx.post(self._url, data=form, timeout=35, trust_env=False)
        except UnicodeEncodeError as problem:
            raise LocalCloudError("the name or the password is not valid Unicode text.") from problem
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            raise LocalCloudError(
                f"{self._url} does not answer: {problem}", "`leaseway status` shows why."
            ) from problem
        if answer.status_code != 200:
            document = parse_answer(answer.content, dict[str, Any], of=f"the refusal of {self._url}")
            reason = document.get("error_description") or document.get("detail") or answer.status_code
            raise SignInRefusedError(f"{self.username} cannot sign in: {reason}", "`leaseway login` takes a password.")
        granted_token = parse_answer(answer.content, GrantedToken, of=f"the answer of {self._url}")
        self._token = granted_token["access_token"]
        self.good_until = time.time() + granted_token["expires_in"]


class AdminSecret(TypedDict):
    """The name and password of the first Admin, as the deployment stores them."""

    username: str
    password: str


def read_first_admin(clients: Clients, outputs: Outputs) -> SignIn:
    """Read the name and password of the deployment's first Admin from Secrets Manager. Fetches no token yet."""
    secret = clients.get("secretsmanager").get_secret_value(SecretId=outputs["AdminSecret"])
    admin = parse_answer(secret.get("SecretString", ""), AdminSecret, of="the secret of the first Admin")
    return SignIn(outputs.api_url, admin["username"], admin["password"])
