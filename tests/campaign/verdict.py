"""Judges a campaign by what it left behind: the jobs' table, the queues, and the engine's journal of changes."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from campaign.workload import Wish
from support.job_stream import TERMINAL


@dataclass(frozen=True)
class JournalEntry:
    """One change of a job in the table; `old` and `new` are empty for what did not exist."""

    job_id: str
    old: dict[str, Any]
    new: dict[str, Any]

    @property
    def ends_the_job(self) -> bool:
        """Whether the job's end was written."""
        return self.old.get("status") not in TERMINAL and self.new.get("status") in TERMINAL

    @property
    def begins_an_attempt(self) -> bool:
        """Whether a worker claimed the job or took it over."""
        return self.new.get("status") == "RUNNING" and self.old.get("fence") != self.new.get("fence")


@dataclass(frozen=True)
class Evidence:
    """What is left when a campaign is over."""

    accepted: Mapping[str, Wish]
    """The jobs that the API accepted, by id, in the order of its answers."""
    items: Mapping[str, Mapping[str, Any]]
    """The table's jobs, by id."""
    journal: Sequence[JournalEntry]
    waiting_messages: Mapping[str, int]
    """Messages that each queue would still deliver."""
    killed_with: Mapping[str, int]
    """How often the campaign killed a worker that held the job, by the job's id."""
    crash_limit: int = 3


def read_journal(path: Path, table: str) -> list[JournalEntry]:
    """Read the engine's journal of one table, in the order of its writes."""
    return parse_journal(path.read_bytes(), table)


def parse_journal(lines: bytes, table: str) -> list[JournalEntry]:
    """Parse whole lines of the journal."""
    documents = map(json.loads, lines.splitlines())
    return [JournalEntry(line["id"], line["old"], line["new"]) for line in documents if line["table"] == table]


def find_violations(evidence: Evidence) -> list[str]:
    """Find everything that must not be: lost jobs, second ends, swapped orders, healthy jobs that did not complete."""
    return [
        *_find_lost_jobs(evidence),
        *_find_jobs_without_request(evidence),
        *_find_second_ends(evidence),
        *_find_swapped_orders(evidence),
        *_find_wrong_ends(evidence),
        *_find_waiting_messages(evidence),
    ]


def is_failed_by_kills(evidence: Evidence, job_id: str) -> bool:
    """Whether the campaign itself killed so many of the job's workers that failing it is right."""
    item = evidence.items[job_id]
    return item["status"] == "FAILED" and evidence.killed_with.get(job_id, 0) >= evidence.crash_limit


def _find_lost_jobs(evidence: Evidence) -> Iterator[str]:
    for job_id, wish in evidence.accepted.items():
        item = evidence.items.get(job_id)
        if item is None:
            yield f"lost: job {wish.number} ({job_id}) was accepted and is not in the table"
        elif item["status"] not in TERMINAL:
            yield f"lost: job {wish.number} ({job_id}) is still {item['status']}, attempts {item.get('attempts', 0)}"


def _find_jobs_without_request(evidence: Evidence) -> Iterator[str]:
    for job_id in evidence.items.keys() - evidence.accepted.keys():
        yield f"created twice: {job_id} is in the table, and no answer named it"


def _find_second_ends(evidence: Evidence) -> Iterator[str]:
    ends = Counter(entry.job_id for entry in evidence.journal if entry.ends_the_job)
    for job_id, wish in evidence.accepted.items():
        if ends[job_id] > 1:
            yield f"finished {ends[job_id]} times: job {wish.number} ({job_id})"
    for entry in evidence.journal:
        if entry.old.get("status") in TERMINAL and entry.new.get("status") not in TERMINAL:
            status = entry.new.get("status", "nothing")
            yield f"left its end: {entry.job_id} went from {entry.old['status']} to {status}"


def _find_swapped_orders(evidence: Evidence) -> Iterator[str]:
    begins: dict[str, int] = {}
    ends: dict[str, int] = {}
    for place, entry in enumerate(evidence.journal):
        if entry.begins_an_attempt:
            begins.setdefault(entry.job_id, place)
        if entry.ends_the_job:
            ends.setdefault(entry.job_id, place)
    for key, job_ids in _group_by_order(evidence.accepted).items():
        for earlier, later in pairwise(job_ids):
            if later in begins and ends.get(earlier, len(evidence.journal)) > begins[later]:
                numbers = (evidence.accepted[earlier].number, evidence.accepted[later].number)
                yield f"swapped: of {key}, job {numbers[1]} began before job {numbers[0]} had ended"


def _group_by_order(accepted: Mapping[str, Wish]) -> dict[str, list[str]]:
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for job_id, wish in sorted(accepted.items(), key=lambda pair: pair[1].number):
        if wish.order_key:
            groups[wish.order_key].append(job_id)
    return groups


def _find_wrong_ends(evidence: Evidence) -> Iterator[str]:
    for job_id, wish in evidence.accepted.items():
        status = evidence.items.get(job_id, {}).get("status")
        if status in TERMINAL and status != wish.expected_status:
            if is_failed_by_kills(evidence, job_id):
                continue
            item = evidence.items[job_id]
            figures = f"attempts {item.get('attempts', 0)}, crashes {item.get('crashes', 0)}"
            yield (
                f"{status} instead of {wish.expected_status}: job {wish.number} ({job_id}), {figures}, killed"
                f" {evidence.killed_with.get(job_id, 0)} times: {item.get('error_message', 'no message')}"
            )


def _find_waiting_messages(evidence: Evidence) -> Iterator[str]:
    for queue, messages in evidence.waiting_messages.items():
        if messages:
            yield f"left over: {messages} messages wait in {queue}"
