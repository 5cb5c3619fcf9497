"""The sessions of this folder's user: a git-ignored file that only this user can read."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from leaseway_local.connection.outputs import Outputs
from leaseway_local.connection.sign_in import SignIn, Token
from leaseway_local.engine.paths import Home


@dataclass
class SavedSession:
    """One user's session. `good_until` is in seconds since the epoch."""

    token: Token | Literal[""] = ""
    good_until: float = 0
    password: str = ""
    """Only for a user that this tool created."""


@dataclass
class SavedSessions:
    """The sessions at one deployment; the commands act for the user `current`."""

    api_url: str
    current: str = ""
    users: dict[str, SavedSession] = field(default_factory=dict)

    def find(self, username: str) -> SignIn | None:
        """The user's session, if there is one."""
        saved = self.users.get(username)
        if saved is None:
            return None
        return SignIn(self.api_url, username, saved.password, token=saved.token, good_until=saved.good_until)

    def add(self, session: SignIn, *, with_password: bool = False) -> None:
        """Add a session's token and, on request, its password."""
        password = session.password if with_password else ""
        self.users[session.username] = SavedSession(session.token(), session.good_until, password)


def read(home: Home, outputs: Outputs) -> SavedSessions:
    """Read the sessions at this deployment; empty if the file is missing, damaged or of another deployment."""
    try:
        saved = msgspec.json.decode(_path(home, outputs).read_bytes(), type=SavedSessions)
    except (OSError, ValueError, RecursionError):
        return SavedSessions(outputs.api_url)
    return saved if saved.api_url == outputs.api_url else SavedSessions(outputs.api_url)


def write(home: Home, outputs: Outputs, saved: SavedSessions) -> None:
    """Write the sessions. No other user can read the file at any moment."""
    path = _path(home, outputs)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(saved), file, indent=1)
    unfinished.replace(path)


def _path(home: Home, outputs: Outputs) -> Path:
    return home.path / f"signed-in-{outputs.target.value}.json"
