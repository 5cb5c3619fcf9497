"""`leaseway api-local`: serve only the API, against the deployed tables and queues, and restart it at each change.

Chalice's own local server answers HTTP. What API Gateway adds to a request (its id and the authorizer's context) is
added here, the context by the authorizer function's own code.
"""

import base64
import os
import sys
import uuid
from typing import Annotated, Any

import typer
from chalice.app import Chalice

from leaseway_local.connection.clients import Clients, Target
from leaseway_local.connection.outputs import Outputs, read_variables
from leaseway_local.connection.target import open_clients, read_outputs
from leaseway_local.engine import processes
from leaseway_local.engine.paths import ROOT
from leaseway_local.errors import LocalCloudError
from leaseway_local.terminal.console import messages

_SOURCES = (ROOT / "functions", ROOT / "layers" / "core" / "python")

PortOption = Annotated[int, typer.Option(help="Port on 127.0.0.1.", min=1, max=65_535)]


def api_local(port: PortOption = 8000) -> None:
    """Serve only the API from this process, against the running local cloud, and reload it at each change.

    Ctrl-C ends it.
    """
    from watchfiles import PythonFilter, run_process

    clients = open_clients(Target.LOCAL)
    variables = variables_of(clients, read_outputs(Target.LOCAL))
    if not processes.port_is_free(port):  # the process that serves would end in a traceback at each change
        raise LocalCloudError(f"port {port} is taken by {processes.port_owner(port)}.", "Give another one with --port.")
    messages.print(f"API on http://127.0.0.1:{port}; it starts again whenever functions/ or layers/core/ changes")
    run_process(*_SOURCES, target=serve, args=(port, variables), watch_filter=PythonFilter(), grace_period=0.5)


def variables_of(clients: Clients, outputs: Outputs) -> dict[str, str]:
    """Return the deployed API function's environment, with the address of the engine that it is deployed to."""
    return {
        **read_variables(clients, outputs["ApiFunction"]),
        "AWS_ENDPOINT_URL": str(clients.endpoint_url),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": clients.region,
        "LOG_FORMAT": "text",
    }


def serve(port: int, variables: dict[str, str]) -> None:
    """Serve on 127.0.0.1 until the process ends."""
    from chalice.config import Config
    from chalice.local import create_local_server

    os.environ.update(variables)
    sys.path[:0] = [str(folder) for folder in _SOURCES]
    from api.app import blueprints

    app = blueprints.whole_app()
    app.__class__ = _BehindTheGateway
    create_local_server(app, Config.create(chalice_stage_name="local"), "127.0.0.1", port).serve_forever()


class _BehindTheGateway(Chalice):
    """Return the application, wrapped so that it is called as API Gateway would call it."""

    def __call__(self, event: dict[str, Any], context: Any) -> Any:
        if isinstance(event.get("body"), bytes):  # the gateway hands on text
            event |= {"body": base64.b64encode(event["body"]).decode(), "isBase64Encoded": True}
        request_context = event["requestContext"]
        request_context |= {"requestId": str(uuid.uuid4()), "stage": "local"}
        token = event["headers"].get("authorization")
        if token:
            request_context["authorizer"] = _authorize(token)
        return super().__call__(event, context)


def _authorize(token: str) -> dict[str, str]:
    """Return the context that the authorizer function gives to the requests of a token."""
    from authorizer.app import handler

    method = "arn:aws:execute-api:us-east-1:000000000000:local/local/GET/"
    answer = handler({"type": "TOKEN", "authorizationToken": token, "methodArn": method}, None)
    context: dict[str, str] = answer["context"]
    return context
