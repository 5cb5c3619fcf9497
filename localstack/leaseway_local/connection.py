"""From a target to what a command needs of it: clients, outputs, the HTTP API."""

from leaseway_local import outputs
from leaseway_local.api_client import ApiClient
from leaseway_local.clients import Clients, Target
from leaseway_local.engine import Engine
from leaseway_local.errors import LocalCloudError
from leaseway_local.outputs import Outputs
from leaseway_local.places import default_home


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
    """A client of the target's HTTP API. Raises what `outputs_of` raises."""
    return ApiClient(outputs_of(target).api_url)
