"""A cold start pays for no library that only some jobs need."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]
EXECUTORS = ROOT / "functions" / "worker" / "executors"
PROGRAM = """
import sys
import leaseway.objects, leaseway.jobs.types  # what every function loads anyway, botocore's urllib3 included
before = set(sys.modules)
names = list(leaseway.jobs.types.catalogue())
new = {module.split(".")[0] for module in set(sys.modules) - before} - sys.stdlib_module_names
print(names, sorted(new), "leaseway.outbound.fetching" in sys.modules)
"""


def test_finding_every_type_imports_no_library_and_no_http_client() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        env={
            "PYTHONPATH": f"{ROOT / 'layers/core/python'}:{ROOT / 'functions'}",
            "EXECUTORS_PACKAGE": "worker.executors",
        },
    )
    modules = sorted(path.stem for path in EXECUTORS.glob("*.py") if path.stem != "__init__")
    types = [name.upper() for name in modules]
    assert done.stdout == f"{types} ['leaseway', 'worker'] False\n", (
        "a module of worker/executors is named as its type in lower case, and imports libraries inside `run` only"
    )
