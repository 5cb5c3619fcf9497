"""Blueprints come with the first request for a path of theirs, and the table of routes says which those are."""

import json
import os
import pkgutil
import subprocess
import sys
from typing import Any

import api.blueprints
from api.access import ACCESS, ROUTES

ANSWERING = """
import json, sys
from support.api_gateway import call

def loaded():
    return sorted(name.removeprefix("api.blueprints.") for name in sys.modules if name.startswith("api.blueprints."))

requests = json.loads(sys.argv[1])
print(json.dumps([loaded(), *([call(*request).status, loaded()] for request in requests)]))
"""

DECLARING = """
import importlib, json, sys
from chalice.app import Chalice
from api.access import ROUTES

def declared(name):
    alone = Chalice(app_name="alone", configure_logs=False, env={})
    alone.register_blueprint(getattr(importlib.import_module(f"api.blueprints.{name}"), name))
    return [[method, path] for path, methods in alone.routes.items() for method in methods]

print(json.dumps({name: declared(name) for name in ROUTES}))
"""

AT_ONCE = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from api.app import app, blueprints
with ThreadPoolExecutor(8) as threads:
    list(threads.map(blueprints.load, json.loads(sys.argv[1]), timeout=120))
print(json.dumps([[method, path] for path, methods in app.routes.items() for method in methods]))
"""


def in_a_fresh_process(program: str, *arguments: str) -> Any:
    """What the program prints last, as JSON. Here, other tests may have loaded anything, and Chalice takes a blueprint
    but once.
    """
    run = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=True,
        text=True,
    )
    return json.loads(run.stdout.splitlines()[-1])


def test_a_request_brings_the_blueprints_of_its_path_and_no_others() -> None:
    # Given a process in which the function has been imported
    # When it answers a request, then one for a path of which two blueprints have methods, then one for no path
    requests = [("GET", "/health"), ("PATCH", "/api/v1/jobs/{id}"), ("GET", "/nowhere")]
    start, health, wrong_method, nowhere = in_a_fresh_process(ANSWERING, json.dumps(requests))
    # Then each blueprint has come with the first request for one of its paths
    assert start == []
    assert health == [200, ["operations"]]
    assert wrong_method == [405, ["control", "jobs", "operations"]]
    assert nowhere == [404, ["control", "jobs", "operations"]]


def test_a_blueprint_declares_the_routes_that_the_table_has_under_its_name() -> None:
    # Given each blueprint in an app that has no other
    declared = in_a_fresh_process(DECLARING)
    # Then its routes are those of the table: one under another name would not be found
    for name, rows in ROUTES.items():
        assert {(method, path) for method, path in declared[name]} == set(rows), name


def test_the_table_has_every_blueprint() -> None:
    assert {module.name for module in pkgutil.iter_modules(api.blueprints.__path__)} == set(ROUTES)


def test_requests_at_once_register_a_blueprint_once() -> None:
    # Given an app that has answered nothing yet
    # When eight threads ask for each path many times
    paths = sorted({path for _, path in ACCESS}) * 8
    routes = in_a_fresh_process(AT_ONCE, json.dumps(paths))
    # Then nothing was registered twice, which Chalice refuses, and every route is there
    assert {(method, path) for method, path in routes} == set(ACCESS)
