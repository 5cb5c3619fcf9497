"""Health, metrics, documentation and console."""

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
    """Whether to check what the API depends on."""

    deep: Annotated[
        int, Meta(ge=0, le=1, description="1 checks every service that the API needs, and is 503 if one fails")
    ] = 0


class Health(msgspec.Struct):
    """The health of the API."""

    status: Annotated[str, Meta(examples=["ok"])]
    parts: Annotated[
        list[HealthPart] | msgspec.UnsetType, Meta(description="The services that it needs, if `deep` is 1")
    ] = msgspec.UNSET


@operation(
    operations,
    Operation(
        method="GET",
        path="/health",
        tag=_TAG,
        summary="Check the API's health",
        query=HowDeep,
        answer=Health,
        errors=(DependencyOutError,),
    ),
)
def health(call: Call[None, HowDeep]) -> Health:
    """Calls no other service unless `deep` is 1. It then checks tables, queue, bucket and secrets, with their times."""
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

    They come from stored counters, so every instance returns the same. A request is counted seconds after its answer.
    """
    # Few of the function's environments are ever asked this.
    from leaseway.prometheus.page import page  # noqa: PLC0415

    return Response(page(), {"content-type": "text/plain; version=0.0.4; charset=utf-8"})


@operation(
    operations,
    Operation(method="GET", path="/openapi.json", tag=_TAG, summary="The OpenAPI document", answer="application/json"),
)
def openapi(call: Call[None, None]) -> Response:
    """OpenAPI 3.1. Generated from the routes and types that serve it."""
    return documents.openapi_document()


@operation(operations, Operation(method="GET", path="/docs", tag=_TAG, summary="Swagger UI", answer="text/html"))
def docs(call: Call[None, None]) -> Response:
    """The OpenAPI document in a browser, to read and to try out."""
    return documents.page()


@operation(
    operations,
    Operation(
        method="GET",
        path="/docs/{asset}",
        tag=_TAG,
        summary="A file of Swagger UI",
        answer="text/plain",
        errors=(documents.AssetNotFoundError,),
    ),
)
def docs_asset(call: Call[None, None]) -> Response:
    """The scripts and the style sheet."""
    return documents.asset(call.path["asset"])


@operation(operations, Operation(method="GET", path="/console", tag=_TAG, summary="The console", answer="text/html"))
def console(call: Call[None, None]) -> Response:
    """Jobs, tasks and balances in a browser. The page signs in and reads everything from this API."""
    return console_page.page()


@operation(
    operations,
    Operation(
        method="GET",
        path="/console/{version}/{asset}",
        tag=_TAG,
        summary="A file of the console",
        answer="text/plain",
        errors=(documents.AssetNotFoundError,),
    ),
)
def console_asset(call: Call[None, None]) -> Response:
    """The scripts, style sheets and icon. The version changes with them, so they can be cached."""
    return console_page.asset(call.path["version"], call.path["asset"])
