"""Who is signed in from this folder: a git-ignored file that only this user can read."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from leaseway_local.connection.outputs import Outputs
from leaseway_local.connection.sessions import SignIn
from leaseway_local.engine.places import Home


@dataclass
class Kept:
    """One user's session. `password` only where this tool made it up; `good_until` in seconds since the epoch."""

    token: str = ""
    good_until: float = 0
    password: str = ""


@dataclass
class SignedIn:
    """The sessions at one deployment, and whose the commands use."""

    api_url: str
    current: str = ""
    users: dict[str, Kept] = field(default_factory=dict)

    def session(self, username: str) -> SignIn | None:
        """The user's session, if one was kept."""
        kept = self.users.get(username)
        if kept is None:
            return None
        return SignIn(self.api_url, username, kept.password, token=kept.token, good_until=kept.good_until)

    def keep(self, session: SignIn, *, with_password: bool = False) -> None:
        """Remember a session's token, and its password where asked."""
        password = session.password if with_password else ""
        self.users[session.username] = Kept(session.token(), session.good_until, password)


def read(home: Home, outputs: Outputs) -> SignedIn:
    """What was kept for this very deployment, or nothing yet."""
    try:
        found = json.loads(_path(home, outputs).read_text())
        users = {name: Kept(**kept) for name, kept in found["users"].items()}
        kept = SignedIn(found["api_url"], found["current"], users)
    except (OSError, ValueError, TypeError, KeyError):
        return SignedIn(outputs.api_url)
    return kept if kept.api_url == outputs.api_url else SignedIn(outputs.api_url)


def write(home: Home, outputs: Outputs, signed_in: SignedIn) -> None:
    """Keep it. The file is nobody else's to read, not even for a moment."""
    path = _path(home, outputs)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(signed_in), file, indent=1)
    fresh.replace(path)


def _path(home: Home, outputs: Outputs) -> Path:
    return home.path / f"signed-in-{outputs.target.value}.json"
