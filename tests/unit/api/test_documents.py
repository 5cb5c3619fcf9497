"""One truth: the routes, gateway.yaml and the OpenAPI document say the same, and what is generated is up to date."""

import json
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
import yaml
from msgspec import Meta
from openapi_spec_validator import validate

from api.app import blueprints
from api.routes import Operation, operation_of
from generate import ROOT, documents
from leaseway.jobs.types import catalogue
from openapi_document import PathParameterUndeclaredError, describe_path_parameter
from support.api_gateway import call

app = blueprints.whole_app()

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


def read_document() -> Any:
    return json.loads(call("GET", "/openapi.json").text)


def operations(document: Any) -> set[tuple[str, str]]:
    return {(path, method) for path, item in document["paths"].items() for method in item if method in METHODS}


def test_routes_gateway_and_openapi_name_the_same_operations() -> None:
    # Given the routes that the function answers
    routes = {(path, method.lower()) for path, methods in app.routes.items() for method in methods}
    heads = {(path, "head") for path, methods in app.routes.items() if "GET" in methods}
    # When the gateway's document and the public one are read
    gateway = yaml.safe_load((ROOT / "infra" / "gateway.yaml").read_text())
    # Then none has an operation that another lacks, but for the OPTIONS of every path and the HEAD of every GET
    assert operations(gateway) == routes | heads | {(path, "options") for path in app.routes}
    assert operations(read_document()) == routes


@pytest.mark.parametrize(("path", "text"), list(documents()), ids=lambda part: getattr(part, "name", ""))
def test_generated_files_are_what_their_sources_say(path: Path, text: str) -> None:
    # Given routes, types and settings
    # When the file is generated again
    # Then it is the file that is kept; otherwise run `make generate`
    assert path.read_text() == text, f"{path.relative_to(ROOT)} is not what its sources say: run `make generate`"


def test_the_document_is_valid_openapi_3_1() -> None:
    # Given the document that is served
    document = read_document()
    # When a validator reads it
    # Then it has nothing to say
    assert document["openapi"].startswith("3.1.")
    validate(document)


def test_every_route_is_declared_where_it_is_registered() -> None:
    # Given every route
    for path, methods in app.routes.items():
        for method, entry in methods.items():
            # When its declaration is read
            declared = operation_of(entry.view_function)
            # Then it speaks of this very route, and says something
            assert (declared.path, declared.method) == (path, method)
            assert declared.summary
            assert declared.description


def test_a_path_parameter_that_nothing_describes_is_refused_with_what_to_add() -> None:
    # Given a route with a parameter of its own
    declared = Operation(method="GET", path="/api/v1/currencies/{code}", tag="t", summary="s", answer="text/plain")
    # When it is documented without a type for the parameter
    # Then the error names the route, the parameter and the line to add
    with pytest.raises(PathParameterUndeclaredError, match=r"GET .*'code'.*path_parameters=\{\"code\": Annotated"):
        describe_path_parameter(declared, "code")
    # And a declared type describes it
    code = Annotated[str, Meta(description="ISO 4217", pattern="^[A-Z]{3}$")]
    described = describe_path_parameter(msgspec.structs.replace(declared, path_parameters={"code": code}), "code")
    assert (described["description"], described["schema"]) == ("ISO 4217", {"type": "string", "pattern": "^[A-Z]{3}$"})


def test_every_job_type_has_its_own_schema() -> None:
    # Given the job types there are
    document = read_document()
    schemas = document["components"]["schemas"]
    mapping = schemas["NewJob"]["discriminator"]["mapping"]
    # When the schema of a new job is read
    # Then each type is one of its cases, with its own payload
    assert set(mapping) == set(catalogue())
    for name, kind in catalogue().items():
        case = schemas[mapping[name].rpartition("/")[2]]
        assert case["properties"]["type"] == {"const": name}
        assert case["properties"]["payload"]["$ref"].endswith(f"/{kind.payload.__name__}")
        assert case["description"] == kind.summary
        assert case["properties"]["ttl_ms"]["default"] == kind.default_ttl_ms


def test_every_job_type_has_an_example_that_its_schema_takes() -> None:
    # Given the examples of the operation that creates jobs
    media = read_document()["paths"]["/api/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]
    # When each is parsed as its type
    # Then it fits, and no type is without one
    assert set(media["examples"]) == set(catalogue())
    for name, example in media["examples"].items():
        catalogue()[name].parse(example["value"]["payload"])


def test_every_error_is_a_problem_document() -> None:
    # Given every answer that the document promises
    for item in read_document()["paths"].values():
        for method in METHODS & item.keys():
            for status, answer in item[method]["responses"].items():
                # When it is an error
                # Then it is a problem with an example of each code, and every answer names the request
                assert "x-request-id" in answer["headers"]
                # RFC 6749 has a form of its own for what a token is refused for
                if status >= "400" and (item[method]["operationId"], status) != ("give_token", "400"):
                    problem = answer["content"]["application/problem+json"]
                    assert problem["schema"] == {"$ref": "#/components/schemas/Problem"}
                    assert all(str(case["value"]["status"]) == status for case in problem["examples"].values())


def test_swagger_ui_comes_from_here_alone() -> None:
    # Given the page of Swagger UI
    page = call("GET", "/docs")
    assert page.headers["content-type"].startswith("text/html")
    # When its parts are fetched
    names = [part.partition('"')[0] for part in page.text.split('="docs/')[1:]]
    assets = {name: call("GET", "/docs/{asset}", path={"asset": name}) for name in names}
    # Then each is served by the API, nothing is fetched from elsewhere, and no inline code may run
    assert set(names) == {"swagger-ui.css", "swagger-ui-bundle.js", "start.js"}
    assert all(asset.status == 200 for asset in assets.values())
    assert "SwaggerUIBundle" in assets["swagger-ui-bundle.js"].text
    assert "://" not in page.text + assets["start.js"].text
    assert page.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in page.headers["content-security-policy"]


@pytest.mark.parametrize("name", ["index.html", "..", "../app.py", "swagger-ui.js.map", "/etc/passwd", ""])
def test_docs_serve_no_other_file(name: str) -> None:
    # Given a name that is no part of the page
    # When it is asked for
    answer = call("GET", "/docs/{asset}", path={"asset": name})
    # Then there is no such part
    assert (answer.status, answer.json["code"]) == (404, "ASSET_NOT_FOUND")


def test_the_gateway_refuses_with_problem_documents() -> None:
    # Given what the gateway answers by itself
    gateway = yaml.safe_load((ROOT / "infra" / "gateway.yaml").read_text())
    refusals = gateway["x-amazon-apigateway-gateway-responses"]
    # When each is read as API Gateway would fill it in
    for refusal in refusals.values():
        headers = refusal["responseParameters"]
        body = json.loads(refusal["responseTemplates"]["application/json"].replace("$context.requestId", "r-1"))
        # Then it is a problem document that names the request, like the function's own
        assert headers["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
        assert headers["gatewayresponse.header.x-request-id"] == "context.requestId"
        assert body["status"] == refusal["statusCode"]
        assert body["type"] == f"urn:leaseway:problem:{body['code']}"
        assert body["instance"] == "urn:leaseway:request:r-1"
    # And an unknown path is 404
    assert refusals["MISSING_AUTHENTICATION_TOKEN"]["statusCode"] == 404
