"""What the deployer packages, unpacked the way Lambda unpacks it."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from samtranslator.translator.transform import transform

from described import of_type
from leaseway_local import packaging, template


@dataclass(frozen=True)
class Unpacked:
    """Folders: layers as they lie under /opt, the functions' code as it lies under /var/task."""

    runtime: Path
    core: Path
    functions: Path

    @property
    def path(self) -> list[str]:
        """`sys.path` of a function, without the standard library."""
        return [str(self.runtime / "python"), str(self.core / "python"), str(self.functions)]


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory) -> Unpacked:
    root = tmp_path_factory.mktemp("unpacked")
    archives = {
        "runtime": packaging.runtime_layer(),
        "core": packaging.core_layer(),
        "functions": packaging.functions(),
    }
    for name, archive in archives.items():
        with zipfile.ZipFile(archive.path) as found:
            found.extractall(root / name)
    return Unpacked(*(root / name for name in archives))


@pytest.fixture(scope="session")
def described() -> dict:
    """template.yaml, with long forms only."""
    return template.read()


@pytest.fixture(scope="session")
def translated(described):
    """What SAM makes of the template, with its gateway document included as CloudFormation includes it."""
    code = "s3://bucket/code.zip"
    packaged = template.packaged(
        described, template.Locations({"layers/core/": code, "layers/runtime/": code}, code, "s3://bucket/gateway.yaml")
    )
    body = yaml.safe_load(template.gateway_path(described).read_text())
    for resource in of_type(packaged, template.API_TYPE).values():
        resource["Properties"]["DefinitionBody"] = body

    class NoManagedPolicies:
        @staticmethod
        def load():
            return {}

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        return transform(packaged, {}, NoManagedPolicies())
