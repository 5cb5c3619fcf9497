"""The state machine of a job: one module writes a status."""

import ast
from pathlib import Path

import leaseway

_PACKAGE = Path(leaseway.__file__).parent
_STATE_MACHINE = Path("jobs/transitions.py")


def sets_a_status(node: ast.AST) -> bool:
    """Whether the node reads `JobModel.status.set`."""
    return isinstance(node, ast.Attribute) and ast.unparse(node) == "JobModel.status.set"


def test_only_the_state_machine_writes_the_status_of_a_job() -> None:
    writers = {
        path.relative_to(_PACKAGE)
        for path in _PACKAGE.rglob("*.py")
        if any(sets_a_status(node) for node in ast.walk(ast.parse(path.read_text())))
    }
    assert writers == {_STATE_MACHINE}
