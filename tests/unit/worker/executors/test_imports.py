"""A cold start pays for no library that only some jobs need."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]
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
    types = ["EXTERNAL", "GENERATE_LOGIN", "GENERATE_NUMBER", "HTTP_GET", "IMAGE_RESIZE", "MESSAGE", "PICTURE_SERIES"]
    types += ["PRIME_COUNT", "SLEEP", "STORAGE_AUDIT", "URL_CHECK"]
    assert done.stdout == f"{types} ['leaseway', 'worker'] False\n"
