"""The public OpenAPI 3.1 document, from what each route declares and from the types that parse and answer."""

import inspect
from collections import defaultdict
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from typing import Annotated, Any

import msgspec
from chalice import Chalice
from msgspec import Meta

from api import headers, oauth, problems
from api.access import ACCESS, Access
from api.callers import UnauthorizedError
from api.ids import ID_PATTERN
from api.job_requests import NewJob
from api.routes import Operation, operation_of
from gateway_document import gateway_answers
from leaseway.errors import InvalidInputError, LeasewayError, NotYoursError, OutcomeUnknownError, UnavailableError
from leaseway.idempotency import KeyReusedError
from leaseway.identity import TokenExpiredError, TokenRefusedError, TokenRevokedError
from leaseway.jobs.types import JobType, catalogue
from leaseway.validation import USER_ID_PATTERN, whole_match

JsonObject = dict[str, Any]

_REF = "#/components/schemas/{name}"
_EXAMPLE_REQUEST_ID = "5f0c8a52-0f5e-4f2b-9d4e-2f5a0b7c9d11"
_PATH_PARAMETERS: dict[str, Any] = {
    "userId": Annotated[str, whole_match(USER_ID_PATTERN, description="The user's id")],
    "id": Annotated[str, whole_match(ID_PATTERN, description="The job's id")],
    "entry": Annotated[str, Meta(description="The entry's name, from a ledger", max_length=160)],
    "username": Annotated[str, whole_match(USER_ID_PATTERN, description="The user's name")],
    "asset": Annotated[str, Meta(description="A file's name")],
    "version": Annotated[str, Meta(description="The version that the page names")],
}
"""Types of the path parameters that mean the same in every path; an operation can override one."""
_FACTS: dict[str, JsonObject] = {
    "INSUFFICIENT_FUNDS": {"balance": 1.5},
    "ALREADY_REVERSED": {"reversal": "alice:9"},
    "NOT_FINISHED": {"job_id": "0f8b6c1e2d3a4b5c6d7e8f9012345678", "job_status": "RUNNING"},
}
_JOB_TYPES = {"job-type": ("lambda", "external"), "external-job-type": ("external",)}
"""Formats that stand for the names of job types, which only the deployment knows."""
_PASSWORD_FLOW = "password"  # noqa: S105 - the name of the scheme
_HEADERS = {"x-request-id": {"description": "Names the request in the logs", "schema": {"type": "string"}}}
_LOCATION = {"location": {"description": "Where it can be read, relative to this path", "schema": {"type": "string"}}}
_KEY_PARAMETER: JsonObject = {
    "name": headers.IDEMPOTENCY_KEY,
    "in": "header",
    "required": False,
    "description": "Makes retries safe: for a day, the same key and body return the first response again, even if it"
    " was a refusal. A key belongs to its caller and route. Send one with every request that you might repeat.",
    "schema": {"type": "string", "pattern": headers.IDEMPOTENCY_KEY_PATTERN},
    "example": "9e6fd0b2-1f9a-4f36-8a52-0a4f6f6f4c55",
}
_IF_MATCH: JsonObject = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The ETag of the job when you read it, a list of ETags, or `*`. If the job matches none of them now,"
    " nothing changes and the response is 412. A weak ETag never matches.",
    "schema": {"type": "string"},
    "example": '"1"',
}
_DESCRIPTION = """\
Balances that never go below zero, and background jobs that are never lost and never finished twice.

Amounts are exact decimals, times are RFC 3339 in UTC, and every error is an RFC 9457 problem document whose `code` is
stable. Unknown body fields and unknown query parameters are refused. HEAD answers like GET, without the body, and
OPTIONS lists the methods of a path in `Allow`.
"""


class PathParameterUndeclaredError(Exception):
    """A path has a parameter that no type describes."""


def openapi_document(app: Chalice) -> JsonObject:
    """The document for `app`'s routes and for the job types there are."""
    types = list(catalogue().values())
    operations = [operation_of(app.routes[path][method].view_function) for method, path in ACCESS]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Leaseway",
            "version": version("leaseway"),
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "./", "description": "Where this document comes from"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(declared.tag for declared in operations)],
        "paths": {path: _methods(methods) for path, methods in sorted(app.routes.items())},
        "components": {"schemas": _schemas(operations, types), "securitySchemes": {_PASSWORD_FLOW: _password_flow()}},
    }


def _password_flow() -> JsonObject:
    # The address is relative to where the document comes from, as the server's is.
    scopes = dict.fromkeys(oauth.SCOPES, "Everything that the user's role allows")
    return {"type": "oauth2", "flows": {"password": {"tokenUrl": "connect/token", "scopes": scopes}}}


def _methods(methods: JsonObject) -> JsonObject:
    return {
        method.lower(): _operation(operation_of(entry.view_function), entry.view_name, entry.view_args)
        for method, entry in sorted(methods.items())
    }


def _operation(declared: Operation, name: str, path_parameters: Iterable[str]) -> JsonObject:
    parameters = [
        *(describe_path_parameter(declared, parameter) for parameter in path_parameters),
        *_query_parameters(declared),
    ]
    parameters += [_KEY_PARAMETER] if declared.keyed else []
    parameters += [_IF_MATCH] if declared.conditional else []
    return {
        "operationId": name,
        "tags": [declared.tag],
        "summary": declared.summary,
        "description": inspect.cleandoc(declared.description),
        **({"parameters": parameters} if parameters else {}),
        "x-access": declared.access.value,
        "security": [] if declared.access is Access.OPEN else [{_PASSWORD_FLOW: [oauth.DEFAULT_SCOPE]}],
        **_request_bodies(declared),
        "responses": {
            str(declared.status): _answer(declared),
            **_nothing(declared),
            **_with_gateway_answers(_form_refusal(declared) | _problems(declared), declared),
        },
    }


def describe_path_parameter(declared: Operation, name: str) -> JsonObject:
    """Return one path parameter of an operation as OpenAPI describes it.

    Raises:
        PathParameterUndeclaredError: neither the operation nor the table of common parameters has a type for it.
    """
    kind = declared.path_parameters.get(name) or _PATH_PARAMETERS.get(name)
    schema = msgspec.json.schema(kind) if kind else {}
    description = schema.pop("description", None)
    if description is None:
        raise PathParameterUndeclaredError(
            f"{declared.method} {declared.path}: nothing describes the path parameter {name!r}. Add to its Operation:"
            f' path_parameters={{"{name}": Annotated[str, Meta(description="...", pattern="...")]}}'
        )
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _query_parameters(declared: Operation) -> Iterator[JsonObject]:
    if declared.query is None:
        return
    schema = _schema_of(declared.query)
    for name, property_schema in schema["properties"].items():
        described = dict(property_schema)
        parameter = {"name": name, "in": "query", "required": name in schema["required"]}
        if "description" in described:
            parameter["description"] = described.pop("description")
        yield {**parameter, "schema": _tidy(_without_null(described))}


def _without_null(schema: JsonObject) -> JsonObject:
    # A query parameter is left out, never null.
    options = [option for option in schema.get("anyOf", []) if option != {"type": "null"}]
    if len(options) != 1:
        return schema
    rest = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    return {**rest, **options[0]}


def _request_bodies(declared: Operation) -> JsonObject:
    if declared.body:
        return {"requestBody": _request_body(declared, declared.body)}
    if declared.form:
        media = {"schema": {"$ref": _REF.format(name=declared.form.__name__)}, "example": declared.example}
        return {"requestBody": {"required": True, "content": {oauth.FORM: media, "application/json": media}}}
    return {}


def _form_refusal(declared: Operation) -> JsonObject:
    if not declared.form_error:
        return {}
    content = {"application/json": {"schema": {"$ref": _REF.format(name=declared.form_error.__name__)}}}
    description = (declared.form_error.__doc__ or "").strip()
    return {"400": {"description": description, "headers": _HEADERS, "content": content}}


def _request_body(declared: Operation, body: type[msgspec.Struct]) -> JsonObject:
    media: JsonObject = {"schema": {"$ref": _REF.format(name=body.__name__)}}
    if body is NewJob:
        media["examples"] = {
            kind.name: {"summary": kind.summary, "value": {"type": kind.name, "payload": example}}
            for kind in catalogue().values()
            if (example := _example_payload(kind)) is not None
        }
    elif declared.example is not None:
        media["example"] = declared.example
    return {"required": not declared.body_optional, "content": {"application/json": media}}


def _answer(declared: Operation) -> JsonObject:
    if isinstance(declared.answer, str):
        content: JsonObject = {declared.answer: {"schema": {} if "json" in declared.answer else {"type": "string"}}}
        description = declared.summary
    else:
        content = {"application/json": {"schema": {"$ref": _REF.format(name=declared.answer.__name__)}}}
        description = (declared.answer.__doc__ or "").strip()
    headers = _HEADERS | (_LOCATION if declared.location else {})
    return {"description": description, "headers": headers, "content": content}


def _nothing(declared: Operation) -> JsonObject:
    return {"204": {"description": declared.nothing, "headers": _HEADERS}} if declared.nothing else {}


def _problems(declared: Operation) -> JsonObject:
    by_status: dict[int, list[type[LeasewayError]]] = defaultdict(list)
    for kind in dict.fromkeys((*declared.errors, *_general_errors(declared))):
        by_status[problems.status_of(kind)].append(kind)
    return {str(status): _problem(kinds) for status, kinds in sorted(by_status.items())}


def _with_gateway_answers(responses: JsonObject, declared: Operation) -> JsonObject:
    """Add the responses that the gateway itself gives before any function runs, such as to a line break in a path."""
    merged = dict(responses)
    for status, code, title in gateway_answers(needs_token=declared.access is not Access.OPEN):
        answered = merged.get(str(status))
        if answered is None or f"`{code}`" not in answered["description"]:
            merged[str(status)] = _with_gateway_answer(answered, status, code, title)
    return dict(sorted(merged.items()))


def _with_gateway_answer(answered: JsonObject | None, status: int, code: str, title: str) -> JsonObject:
    problem = problems.document(
        status=status, code=code, title=title, detail=title, request_id=_EXAMPLE_REQUEST_ID, field=None
    )
    example = {code: {"summary": title, "value": msgspec.to_builtins(problem)}}
    before = answered or {"description": "", "content": {}}
    examples = before["content"].get(problems.CONTENT_TYPE, {}).get("examples", {}) | example
    media = {"schema": {"$ref": _REF.format(name="Problem")}, "examples": examples}
    description = "; ".join(part for part in (before["description"], f"`{code}`: {title}") if part)
    content = before["content"] | {problems.CONTENT_TYPE: media}
    return {"description": description, "headers": _HEADERS, "content": content}


def _general_errors(declared: Operation) -> Iterator[type[LeasewayError]]:
    if declared.body or declared.query or declared.conditional or "{userId}" in declared.path:
        yield InvalidInputError
    if declared.body:
        yield from (problems.BodyTooLargeError, problems.UnsupportedMediaTypeError)
    if declared.keyed:
        yield KeyReusedError
    if declared.form:
        yield problems.BodyTooLargeError
    if declared.access is not Access.OPEN:
        yield from (UnauthorizedError, TokenRefusedError, TokenExpiredError, TokenRevokedError)
        # An AWS call can fail in transit.
        yield UnavailableError if declared.method == "GET" else OutcomeUnknownError
    if declared.access in (Access.WORKER, Access.ADMIN):
        yield NotYoursError
    yield problems.InternalError


def _problem(kinds: list[type[LeasewayError]]) -> JsonObject:
    examples = {kind.code: {"summary": problems.title_of(kind), "value": _example_problem(kind)} for kind in kinds}
    return {
        "description": "; ".join(f"`{kind.code}`: {problems.title_of(kind)}" for kind in kinds),
        "headers": _HEADERS,
        "content": {problems.CONTENT_TYPE: {"schema": {"$ref": _REF.format(name="Problem")}, "examples": examples}},
    }


def _example_problem(kind: type[LeasewayError]) -> JsonObject:
    field = "amount" if kind is InvalidInputError else None
    problem = problems.describe(kind, problems.title_of(kind), _EXAMPLE_REQUEST_ID, field)
    document: JsonObject = msgspec.to_builtins(problem)
    return document | _FACTS.get(kind.code, {})


def _schemas(operations: list[Operation], types: list[JobType]) -> JsonObject:
    bodies = [kind for declared in operations for kind in (declared.body, declared.form, declared.form_error) if kind]
    answers = [declared.answer for declared in operations if not isinstance(declared.answer, str)]
    kinds = dict.fromkeys([*bodies, *answers, problems.Problem, *(kind.payload for kind in types)])
    _, schemas = msgspec.json.schema_components(kinds, ref_template=_REF)
    by_type = [_split_by_type(schemas[name], schemas, types) for name in ("NewJob", "NewTask")]
    return dict(sorted((_tidy(schemas) | _tidy(by_type[0]) | _tidy(by_type[1])).items()))


def _split_by_type(general: JsonObject, schemas: JsonObject, types: list[JobType]) -> JsonObject:
    """NewJob or NewTask as one schema for each job type, with `type` as the discriminator."""
    title = general["title"]
    by_type = {kind.name: _narrow_to_type(general, kind, schemas[kind.payload.__name__]) for kind in types}
    names = {kind: f"New{_camel(kind)}{title.removeprefix('New')}" for kind in by_type}
    return {names[kind]: schema for kind, schema in by_type.items()} | {
        title: {
            "title": title,
            "description": general["description"],
            "oneOf": [{"$ref": _REF.format(name=name)} for name in names.values()],
            "discriminator": {
                "propertyName": "type",
                "mapping": {kind: _REF.format(name=name) for kind, name in names.items()},
            },
        }
    }


def _narrow_to_type(general: JsonObject, kind: JobType, payload: JsonObject) -> JsonObject:
    bounds = {"default": kind.default_ttl_ms, "maximum": kind.longest_ttl_ms}
    own = {
        "type": {"const": kind.name},
        "payload": {"$ref": _REF.format(name=kind.payload.__name__)},
        "ttl_ms": general["properties"]["ttl_ms"] | bounds,
        "max_attempts": general["properties"]["max_attempts"] | {"default": kind.default_max_attempts},
    }
    required = [*general["required"], *(["payload"] if payload["required"] else [])]
    return general | {
        "title": kind.name,
        "description": kind.summary,
        "properties": general["properties"] | own,
        "required": list(dict.fromkeys(required)),
    }


def _example_payload(kind: JobType) -> JsonObject | None:
    """A payload made of the examples of the type's fields; None if a required field has no example."""
    schema = _schema_of(kind.payload)
    example = {name: field["examples"][0] for name, field in schema["properties"].items() if "examples" in field}
    return example if set(schema["required"]) <= example.keys() else None


def _schema_of(kind: type[msgspec.Struct]) -> JsonObject:
    _, schemas = msgspec.json.schema_components([kind], ref_template=_REF)
    schema: JsonObject = schemas[kind.__name__]
    return schema


def _tidy(schema: Any) -> Any:
    """Dedent descriptions, replace job-type formats by enums, and describe decimals as numbers, as they are encoded."""
    if isinstance(schema, list):
        return [_tidy(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    tidied_schema = {name: _tidy(value) for name, value in schema.items()}
    if isinstance(tidied_schema.get("description"), str):
        tidied_schema["description"] = inspect.cleandoc(tidied_schema["description"])
    if runs_on := _JOB_TYPES.get(str(tidied_schema.get("format"))):
        del tidied_schema["format"]
        tidied_schema["enum"] = [kind.name for kind in catalogue().values() if kind.runs_on in runs_on]
    if tidied_schema.get("format") == "decimal":
        del tidied_schema["format"]
        tidied_schema["type"] = "number"
    return tidied_schema


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
