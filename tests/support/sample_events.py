"""The events under tests/events: what calls each function, as `sam local invoke -e` takes it."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "events"

JOB_ID = "0123456789abcdef0123456789abcdef"
"""The job that the events' messages name."""


def sample_event(name: str, *, job_id: str = JOB_ID) -> Any:
    """Read an event by its file's name, about the job of that id."""
    return json.loads((FOLDER / f"{name}.json").read_text().replace(JOB_ID, job_id))
