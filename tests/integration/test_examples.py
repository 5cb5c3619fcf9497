"""Every file of docs/examples runs on the deployed stack, ends with exit 0 and prints what its header promises."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from leaseway_local.commands import nodes
from support.dead_letters import make_dead_letters
from support.deployed_stacks import DeployedStack
from support.doc_examples import EXAMPLES, read_expected_output

INTERPRETERS = {".py": [sys.executable], ".sh": ["bash", "-eu"]}


def a_text_to_count(stack: DeployedStack) -> dict[str, str]:
    stack.api.post("/api/v1/jobs", {"type": "EXTERNAL", "payload": {"text": "How many words?"}})
    return {"WAIT": "1"}


def dead_letters(stack: DeployedStack) -> dict[str, str]:
    make_dead_letters(stack, 3)
    return {}


def what_a_node_runs_with(stack: DeployedStack) -> dict[str, str]:
    known = nodes.environment_of(stack.clients, stack.name)
    own = {name: value for name, value in known.items() if os.environ.get(name) != value}
    return own | {"NODE_FLAGS": "--from-environment"}


# What an example does not make for itself. Returns further variables for its environment.
GIVEN: dict[str, Callable[[DeployedStack], dict[str, str]]] = {
    "dead_letters.py": dead_letters,
    "node.sh": what_a_node_runs_with,
    "worker.sh": a_text_to_count,
}


def environment(stack: DeployedStack) -> dict[str, str]:
    """What a reader of the folder's README has set, and nothing else."""
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": tools, "LEASEWAY_URL": stack.outputs.api_url, "LEASEWAY_TOKEN": stack.admin.token()}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_prints_what_it_promises(stack: DeployedStack, example: Path) -> None:
    variables = environment(stack) | GIVEN.get(example.name, lambda _: {})(stack)

    done = subprocess.run(
        [*INTERPRETERS[example.suffix], example],
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch(read_expected_output(example), done.stdout), f"it printed:\n{done.stdout}\n{done.stderr}"
