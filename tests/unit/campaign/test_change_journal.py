"""The journal of a campaign has each change of a job's state, and nothing else."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from campaign.plugin import change_journal
from campaign.verdict import read_journal


def state(status: str, **more: int) -> dict[str, Any]:
    return {"id": {"S": "j1"}, "status": {"S": status}, **{name: {"N": str(value)} for name, value in more.items()}}


def test_changes_of_state_are_written_down_and_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMPAIGN_FOLDER", str(tmp_path))
    passed_on = []
    dynamodb: Any = SimpleNamespace(_emit_stream_event=lambda *change: passed_on.append(change))
    change_journal.install(dynamodb)

    running = state("RUNNING", fence=1)
    changes = [
        ("jobs", "INSERT", None, state("CREATED")),
        ("jobs", "MODIFY", state("CREATED"), running),
        ("jobs", "MODIFY", running, running | {"lease_until": {"N": "5"}}),
        ("jobs", "MODIFY", running, state("COMPLETED", fence=1)),
        ("accounts", "INSERT", None, {"user_id": {"S": "7"}}),
        ("jobs", "REMOVE", state("COMPLETED", fence=1), None),
    ]
    for change in changes:
        dynamodb._emit_stream_event(*change)

    assert passed_on == changes
    journal = read_journal(tmp_path / change_journal.JOURNAL, "jobs")
    assert [entry.new.get("status") for entry in journal] == ["CREATED", "RUNNING", "COMPLETED", None]
    assert [entry.begins_an_attempt for entry in journal] == [False, True, False, False]
    assert [entry.ends_the_job for entry in journal] == [False, False, True, False]
    assert {json.loads(line)["table"] for line in (tmp_path / change_journal.JOURNAL).read_text().splitlines()} == {
        "jobs"
    }
