"""Runs one of these programs."""

import subprocess
import sys

_SETTINGS = {
    "EXECUTORS_PACKAGE": "support.odd_executors",
    "JOBS_TABLE": "jobs",
    "BUCKET": "bucket",
    "LOG_LEVEL": "WARNING",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def run_program(name: str) -> subprocess.CompletedProcess[str]:
    """Run a program of this package to its end, with the import path of the tests and the settings of a function."""
    return subprocess.run(
        [sys.executable, "-m", f"{__package__}.{name}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PYTHONPATH": ":".join(path for path in sys.path if path), "PATH": "", **_SETTINGS},
    )
