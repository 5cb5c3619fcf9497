"""What a command needs of its target: clients, outputs, the HTTP API."""

from leaseway_local.connection import outputs, session_file, sign_in
from leaseway_local.connection.api_client import ApiClient
from leaseway_local.connection.clients import Clients, Target
from leaseway_local.connection.outputs import Outputs
from leaseway_local.connection.sign_in import SignIn
from leaseway_local.engine.ministack import Engine
from leaseway_local.engine.paths import default_home
from leaseway_local.errors import LocalCloudError


def open_clients(target: Target) -> Clients:
    """Create clients of the target; for `local`, of the engine that runs.

    Raises:
        LocalCloudError: the target is `local` and no engine runs.
    """
    if target is not Target.LOCAL:
        return Clients(target)
    engine = Engine(default_home()).running()
    if engine is None:
        raise LocalCloudError("the local cloud is not running.", "`leaseway up` starts it.")
    return Clients(target, engine.host)


def read_outputs(target: Target) -> Outputs:
    """Read the names and addresses of the target's deployment.

    Raises what `open_clients` and `outputs.fetch` raise.
    """
    return outputs.fetch(open_clients(target))


def open_api(target: Target) -> ApiClient:
    """Create a client of the target's HTTP API, signed in by `open_session`. Raises what that raises."""
    clients = open_clients(target)
    deployed = outputs.fetch(clients)
    return ApiClient(deployed.api_url, auth=_open_session(clients, deployed))


def open_session(target: Target) -> SignIn:
    """The session that commands use: of the user who signed in last, or of the first Admin on a local target.

    Raises:
        LocalCloudError: nothing runs, nothing is deployed, or no user is signed in to AWS.
    """
    clients = open_clients(target)
    return _open_session(clients, outputs.fetch(clients))


def _open_session(clients: Clients, deployed: Outputs) -> SignIn:
    saved = session_file.read(default_home(), deployed)
    session = saved.find(saved.current)
    if session is not None and (session.is_fresh() or session.password):
        return session
    if not clients.local:
        raise LocalCloudError("no user is signed in to this deployment.", "`leaseway login --target aws` signs in.")
    admin = sign_in.read_first_admin(clients, deployed)
    if saved.current not in ("", admin.username):
        raise LocalCloudError(f"the session of {saved.current} has expired.", "`leaseway login` opens a new one.")
    saved.add(admin)
    saved.current = admin.username
    session_file.write(default_home(), deployed, saved)
    return admin
