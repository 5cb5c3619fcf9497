"""localstack/compose.yaml and what it builds, compared with what the deployer needs. No Docker runs it here."""

import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from leaseway_local.localstack import run

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "localstack"


@pytest.fixture(scope="module")
def localstack() -> dict[str, Any]:
    return yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]["localstack"]


@pytest.fixture(scope="module")
def dockerfile() -> str:
    return (FOLDER / "Dockerfile").read_text()


def test_it_is_reachable_from_this_machine_only(localstack: dict[str, Any]) -> None:
    assert localstack["ports"] == ["127.0.0.1:${LEASEWAY_PORT:-4566}:4566"]


def test_without_a_token_it_is_the_last_image_that_needs_none(localstack: dict[str, Any], dockerfile: str) -> None:
    assert localstack["build"]["args"] == {"EDITION": "${LOCALSTACK_AUTH_TOKEN:+licensed}"}
    stages = dict(re.findall(r"^FROM (\S+) AS localstack-(\w+)$", dockerfile, re.MULTILINE))
    stages = {name: image for image, name in stages.items()}
    assert stages == {"free": "localstack/localstack:4.14.0", "licensed": "localstack/localstack-pro:latest"}
    assert "FROM localstack-${EDITION:-free}" in dockerfile


def test_every_file_that_it_mounts_or_copies_is_there(localstack: dict[str, Any], dockerfile: str) -> None:
    mounted = [volume.split(":")[0] for volume in localstack["volumes"] if volume.startswith(".")]
    copied = re.findall(r"^COPY (?!--from)(\S+)", dockerfile, re.MULTILINE)

    assert len(mounted) >= 6
    assert [path for path in mounted if not (FOLDER / path).exists()] == []
    assert [path for path in copied if not (ROOT / path).exists()] == []


def test_all_that_the_deployer_reads_is_mounted_where_it_looks(localstack: dict[str, Any]) -> None:
    inside = {volume.split(":")[1] for volume in localstack["volumes"]}

    for needed in ("functions", "infra", "layers", "localstack", "template.yaml", ".leaseway"):
        assert f"/opt/leaseway/{needed}" in inside


def test_the_ready_hook_deploys_with_the_deployer_of_everywhere_else() -> None:
    hook = FOLDER / "ready.d" / "deploy.sh"
    command = shlex.split(hook.read_text().splitlines()[-1])

    assert os.access(hook, os.X_OK)
    assert command[-4:] == ["leaseway_local.cli", "deploy", "--target", "localstack"]


def test_it_is_healthy_when_the_hook_has_come_to_its_end(localstack: dict[str, Any]) -> None:
    assert "_localstack/init/ready" in localstack["healthcheck"]["test"][1]


def test_it_has_the_services_that_the_tests_run_on(localstack: dict[str, Any], tmp_path: Path) -> None:
    tested = run.environment(tmp_path)
    same = ("SQS_ENDPOINT_STRATEGY", "DISABLE_EVENTS", "CFN_IGNORE_UNSUPPORTED_RESOURCE_TYPES")
    providers = [name for name in tested if name.startswith("PROVIDER_OVERRIDE_")]

    assert providers
    for name in (*same, *providers):
        assert localstack["environment"][name] == tested[name]
