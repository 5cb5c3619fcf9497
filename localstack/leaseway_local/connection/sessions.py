"""Signing in to a deployment's API: the token is fetched when it is first needed, and again before it expires."""

import json
import time
from collections.abc import Generator
from threading import Lock

import httpx

from leaseway_local.connection.clients import Clients
from leaseway_local.connection.outputs import Outputs
from leaseway_local.errors import LocalCloudError

_EARLY_SECONDS = 30  # a token that is about to expire is not sent any more


class SignInRefusedError(LocalCloudError):
    """The API does not know the name and password, or has locked the name for a while."""


class SignIn(httpx.Auth):
    """A user's name and password at one API; as httpx's `auth` it puts the bearer token on each request.

    `token` and `good_until` (seconds since the epoch) are what was fetched before, where something was.
    """

    def __init__(self, api_url: str, username: str, password: str, *, token: str = "", good_until: float = 0) -> None:
        self.username = username
        self.password = password
        self.good_until = good_until
        self._url = f"{api_url}/connect/token"
        self._token = token
        self._fetching = Lock()

    def token(self) -> str:
        """The bearer token, good for half a minute at least.

        Raises:
            SignInRefusedError: the API gives none; says why.
            LocalCloudError: nothing answers, or a session without a password is over.
        """
        with self._fetching:
            if not self.good():
                self._fetch()
            return self._token

    def good(self) -> bool:
        """Whether there is a token that is good for half a minute at least."""
        return time.time() < self.good_until - _EARLY_SECONDS

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """httpx's hook."""
        request.headers["authorization"] = f"Bearer {self.token()}"
        yield request

    def _fetch(self) -> None:
        if not self.password:
            raise LocalCloudError(f"the session of {self.username} is over.", "`leaseway login` opens another.")
        form = {"grant_type": "password", "username": self.username, "password": self.password}
        try:
            answer = httpx.post(self._url, data=form, timeout=35, trust_env=False)
            told = answer.json()
        except (httpx.HTTPError, ValueError) as problem:
            raise LocalCloudError(
                f"{self._url} does not answer: {problem}", "`leaseway status` tells why."
            ) from problem
        if answer.status_code != 200:
            reason = told.get("error_description") or told.get("detail") or answer.status_code
            raise SignInRefusedError(f"{self.username} cannot sign in: {reason}", "`leaseway login` takes a password.")
        self._token = told["access_token"]
        self.good_until = time.time() + told["expires_in"]


def first_admin(clients: Clients, outputs: Outputs) -> SignIn:
    """The Admin that the deployment made, with the password from Secrets Manager. Asks for no token yet."""
    secret = clients.get("secretsmanager").get_secret_value(SecretId=outputs["AdminSecret"])
    admin = json.loads(secret["SecretString"])
    return SignIn(outputs.api_url, admin["username"], admin["password"])
