"""Every function starts with nothing but what is packaged: no site-packages, no project folder, no environment."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from api.access import ROUTES
from leaseway_local.deployment import template
from support.code_folders import CodeFolders

RARE = {"PIL", "PIL.Image", "argon2", "boto3", "can_ada", "h11", "jwt", "pip", "setuptools", "zxcvbn"}
HANDLERS = [resource["Properties"]["Handler"] for resource in template.read()["Resources"].values()
            if resource["Type"] == template.FUNCTION_TYPE]  # fmt: skip

REPORT = """
import importlib, json, sys
sys.path[:0] = json.loads(sys.argv[1])
module, _, name = sys.argv[2].rpartition(".")
handler = getattr(importlib.import_module(module), name)
files = sorted({str(m.__file__) for m in list(sys.modules.values()) if getattr(m, "__file__", None)})
print(json.dumps({"callable": callable(handler), "files": files, "modules": sorted(sys.modules)}))
"""

BLUEPRINTS = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from api.app import blueprints
blueprints.whole_app()
print(json.dumps(sorted(sys.modules)))
"""

EXECUTORS = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from leaseway.jobs.types import catalogue
import PIL.Image, PIL.ImageOps, can_ada, h11, urllib3
PIL.Image.new("RGB", (4, 4)).save(__import__("io").BytesIO(), "WEBP")
print(json.dumps(sorted(catalogue())))
"""

CLIENTS = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from leaseway import aws
print(json.dumps([aws.client(name).meta.service_model.service_name for name in json.loads(sys.argv[2])]))
"""


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_function_imports_with_nothing_but_what_is_packaged(
    handler: str, code_folders: CodeFolders, in_a_bare_interpreter: Callable[..., Any]
) -> None:
    report = in_a_bare_interpreter(REPORT, handler)

    assert report["callable"]
    allowed = (*code_folders.path, sys.base_prefix, os.path.dirname(os.__file__))
    foreign = [file for file in report["files"] if not file.startswith(allowed)]
    assert foreign == []


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_function_starts_without_what_only_some_jobs_need(
    handler: str, in_a_bare_interpreter: Callable[..., Any]
) -> None:
    """Pillow, argon2 and PyJWT cost a cold start; the first job or request that needs one imports it."""
    modules = in_a_bare_interpreter(REPORT, handler)["modules"]

    assert not RARE & set(modules)


def test_the_first_requests_import_every_blueprint_from_what_is_packaged_and_without_the_rare(
    in_a_bare_interpreter: Callable[..., Any],
) -> None:
    modules = in_a_bare_interpreter(BLUEPRINTS)

    assert {f"api.blueprints.{name}" for name in ROUTES} <= set(modules)
    assert not RARE & set(modules)


def test_every_job_type_and_its_packages_are_packaged(in_a_bare_interpreter: Callable[..., Any]) -> None:
    types = in_a_bare_interpreter(EXECUTORS)

    modules = (Path(__file__).parents[2] / "functions" / "worker" / "executors").glob("*.py")
    assert set(types) == {module.stem.upper() for module in modules if module.stem != "__init__"}


def test_clients_of_the_services_in_use_can_be_made(in_a_bare_interpreter: Callable[..., Any]) -> None:
    services = ["dynamodb", "sqs", "s3", "secretsmanager"]

    assert in_a_bare_interpreter(CLIENTS, json.dumps(services)) == services
