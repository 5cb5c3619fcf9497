"""Every function starts with nothing but what is packaged: no site-packages, no project folder, no environment."""

import json
import os
import subprocess
import sys

import pytest

from leaseway_local import template

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

EXECUTORS = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from leaseway.jobs.types import catalogue
import PIL.Image, PIL.ImageOps, urllib3
PIL.Image.new("RGB", (4, 4)).save(__import__("io").BytesIO(), "WEBP")
print(json.dumps(sorted(catalogue())))
"""

CLIENTS = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from leaseway import aws
print(json.dumps([aws.client(name).meta.service_model.service_name for name in json.loads(sys.argv[2])]))
"""

ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    **dict.fromkeys(("ACCOUNTS_TABLE", "JOBS_TABLE", "TOTALS_TABLE", "BUCKET", "CURSOR_SECRET"), "x"),
    "JOBS_QUEUE_URL": "http://127.0.0.1:9/000000000000/jobs",
}


def in_a_bare_interpreter(script, unpacked, *arguments):
    # The interpreter that the virtual environment was made from, isolated (-I) and without site-packages (-S).
    python = os.path.realpath(sys.executable)
    done = subprocess.run(
        [python, "-I", "-S", "-c", script, json.dumps(unpacked.path), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=ENVIRONMENT,
        cwd=unpacked.functions.parent,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_function_imports_with_nothing_but_what_is_packaged(handler, unpacked):
    report = in_a_bare_interpreter(REPORT, unpacked, handler)

    assert report["callable"]
    allowed = (*unpacked.path, sys.base_prefix, os.path.dirname(os.__file__))
    foreign = [file for file in report["files"] if not file.startswith(allowed)]
    assert foreign == []


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_function_starts_without_what_only_some_jobs_need(handler, unpacked):
    """Pillow, argon2 and PyJWT cost a cold start; the first job or request that needs one imports it."""
    modules = in_a_bare_interpreter(REPORT, unpacked, handler)["modules"]

    assert not {"PIL", "PIL.Image", "argon2", "boto3", "jwt", "pip", "setuptools", "zxcvbn"} & set(modules)


def test_every_job_type_and_its_packages_are_packaged(unpacked):
    types = in_a_bare_interpreter(EXECUTORS, unpacked)

    assert {"SLEEP", "HTTP_GET", "IMAGE_RESIZE", "GENERATE_LOGIN", "GENERATE_NUMBER"} <= set(types)


def test_clients_of_the_services_in_use_can_be_made(unpacked):
    services = ["dynamodb", "sqs", "s3", "secretsmanager"]

    assert in_a_bare_interpreter(CLIENTS, unpacked, json.dumps(services)) == services
