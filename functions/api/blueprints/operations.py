"""What operators and integrators ask for: is it alive, what does it offer."""

from typing import Annotated

import msgspec
from chalice.app import Blueprint, Response
from msgspec import Meta

from api import console_page, documents
from api.routes import Call, Operation, operation
from leaseway.errors import UnavailableError
from leaseway.health import DependencyOutError, HealthPart, check

operations = Blueprint(__name__)

_TAG = "Operations"


class HowDeep(msgspec.Struct, forbid_unknown_fields=True):
    """How much of the deployment is asked."""

    deep: Annotated[
        int, Meta(ge=0, le=1, description="1 asks every part that the API needs, and is 503 when one is out")
    ] = 0


class Health(msgspec.Struct):
    """The API answers."""

    status: Annotated[str, Meta(examples=["ok"])]
    parts: Annotated[list[HealthPart] | msgspec.UnsetType, Meta(description="What it needs, if `deep` asks for it")] = (
        msgspec.UNSET
    )


@operation(
    operations,
    Operation(
        method="GET",
        path="/health",
        tag=_TAG,
        summary="Is the API alive?",
        query=HowDeep,
        answer=Health,
        errors=(DependencyOutError,),
    ),
)
def health(call: Call[None, HowDeep]) -> Health:
    """Answers without asking any other part, unless `deep` is 1: then tables, queue, bucket and secrets, with times."""
    return Health(status="ok", parts=check()) if call.query.deep else Health(status="ok")


@operation(
    operations,
    Operation(
        method="GET",
        path="/metrics",
        tag=_TAG,
        summary="Metrics for Prometheus",
        answer="text/plain",
        errors=(UnavailableError,),
    ),
)
def metrics(call: Call[None, None]) -> Response:
    """Requests, jobs, balances and functions in Prometheus' text format, for a Worker's or an Admin's token.

    Read from stored counters: every instance gives the same. A request is counted seconds after its answer.
    """
    # Few of the function's environments are ever asked this.
    from leaseway.prometheus.page import page  # noqa: PLC0415

    return Response(page(), {"content-type": "text/plain; version=0.0.4; charset=utf-8"})


@operation(
    operations,
    Operation(method="GET", path="/openapi.json", tag=_TAG, summary="This document", answer="application/json"),
)
def openapi(call: Call[None, None]) -> Response:
    """OpenAPI 3.1. Generated from the routes and types that serve it."""
    return documents.openapi_document()


@operation(operations, Operation(method="GET", path="/docs", tag=_TAG, summary="Swagger UI", answer="text/html"))
def docs(call: Call[None, None]) -> Response:
    """This document to read and to try, in a browser."""
    return documents.page()


@operation(
    operations,
    Operation(
        method="GET",
        path="/docs/{asset}",
        tag=_TAG,
        summary="A part of Swagger UI",
        answer="text/plain",
        errors=(documents.AssetNotFoundError,),
    ),
)
def docs_asset(call: Call[None, None]) -> Response:
    """Its scripts and its style sheet."""
    return documents.asset(call.path["asset"])


@operation(operations, Operation(method="GET", path="/console", tag=_TAG, summary="The console", answer="text/html"))
def console(call: Call[None, None]) -> Response:
    """Jobs, tasks and balances in a browser. It signs in and asks this API for everything it shows."""
    return console_page.page()


@operation(
    operations,
    Operation(
        method="GET",
        path="/console/{version}/{asset}",
        tag=_TAG,
        summary="A part of the console",
        answer="text/plain",
        errors=(documents.AssetNotFoundError,),
    ),
)
def console_asset(call: Call[None, None]) -> Response:
    """Its scripts, its style sheets and its icon; the version changes with them, so that they may be kept."""
    return console_page.asset(call.path["version"], call.path["asset"])
