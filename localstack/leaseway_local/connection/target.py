"""From a target to what a command needs of it: clients, outputs, the HTTP API."""

from leaseway_local.connection import outputs, sessions, signed_in
from leaseway_local.connection.api_client import ApiClient
from leaseway_local.connection.clients import Clients, Target
from leaseway_local.connection.outputs import Outputs
from leaseway_local.connection.sessions import SignIn
from leaseway_local.engine.engine import Engine
from leaseway_local.engine.places import default_home
from leaseway_local.errors import LocalCloudError


def clients_of(target: Target) -> Clients:
    """Clients of the target; for `local`, of the engine that runs.

    Raises:
        LocalCloudError: the target is `local` and no engine runs.
    """
    if target is not Target.LOCAL:
        return Clients(target)
    running = Engine(default_home()).running()
    if not running:
        raise LocalCloudError("the local cloud is not running.", "`leaseway up` starts it.")
    return Clients(target, running.host)


def outputs_of(target: Target) -> Outputs:
    """Names and addresses of the target's deployment. Raises what `clients_of` and `outputs.fetch` raise."""
    return outputs.fetch(clients_of(target))


def api_of(target: Target) -> ApiClient:
    """A client of the target's HTTP API, signed in as `session_of` says. Raises what that raises."""
    return ApiClient(outputs_of(target).api_url, auth=session_of(target))


def session_of(target: Target) -> SignIn:
    """Who the commands act for: who signed in last; on a local target, otherwise the first Admin.

    Raises:
        LocalCloudError: nothing runs, nothing is deployed, or nobody is signed in to AWS.
    """
    clients = clients_of(target)
    found = outputs.fetch(clients)
    kept = signed_in.read(default_home(), found)
    session = kept.session(kept.current)
    if session is not None and (session.good() or session.password):
        return session
    if not clients.local:
        raise LocalCloudError("nobody is signed in to this deployment.", "`leaseway login --target aws` signs in.")
    admin = sessions.first_admin(clients, found)
    if kept.current not in ("", admin.username):
        raise LocalCloudError(f"the session of {kept.current} is over.", "`leaseway login` opens another.")
    kept.keep(admin)
    kept.current = admin.username
    signed_in.write(default_home(), found, kept)
    return admin
