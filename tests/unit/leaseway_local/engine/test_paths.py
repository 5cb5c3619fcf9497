"""Where the command line keeps things, and which stack it speaks to."""

import os
import subprocess
import sys

import pytest

ASK = "from leaseway_local.engine.paths import DEFAULT_STACK; print(DEFAULT_STACK)"


@pytest.mark.parametrize(
    ("variables", "expected"), [({}, "leaseway"), ({"LEASEWAY_STACK": "leaseway-staging"}, "leaseway-staging")]
)
def test_the_environment_names_the_stack(variables: dict[str, str], expected: str) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(sys.path), **variables}

    answer = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=True)

    assert answer.stdout.strip() == expected
