"""`make campaign`: thousands of jobs while workers die, the engine restarts and a tenth of all AWS calls fail.

At its end it proves that no job was lost or finished twice, no order swapped, and no healthy job failed; it exits with
status 1 if one was. `--seed` fixes the jobs and what is drawn for each trouble; what meets what is up to the machine.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from campaign.cloud import Cloud, open_cloud
from campaign.load import NODES, Load
from campaign.verdict import Evidence, find_violations, is_failed_by_kills, read_journal
from campaign.workload import draw_workload
from support.job_items import scan_jobs

LOAD_SHARE = 0.7
"""The part of the time in which jobs are created and troubles made; the rest is for what is still open."""
HIDDEN_SECONDS = 900.0
"""SQS hides a message of a worker that died before its claim for so long, and behind it the jobs of its order key."""
SETTLING_SECONDS = 240.0
"""What is left then: the leases of the last workers, a look at its cap, and a key's jobs one by one."""
_EMPTY_SECONDS = 60.0
_REPORT_SECONDS = 15.0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="make campaign")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fault-percent", type=float, default=10)
    parser.add_argument("--keep", action="store_true", help="leave journal and logs where they are")
    return parser.parse_args(arguments)


def run_campaign(options: argparse.Namespace, folder: Path) -> bool:
    """Run one campaign in `folder` and print its figures; returns whether nothing was violated."""
    workload = draw_workload(options.jobs, options.seed, longest_ms=int(options.minutes * 60_000 / 30))
    with open_cloud(folder, seed=options.seed, fault_percent=options.fault_percent) as cloud:
        load = Load(cloud, workload, seed=options.seed, seconds=options.minutes * 60 * LOAD_SHARE)
        cloud.set_faults(on=True)
        with load.run():
            load_seconds = options.minutes * 60 * LOAD_SHARE
            # Each request is repeated until it is accepted, and a restart of the engine is finished first.
            _wait(load, until=lambda: load.is_made, seconds=load_seconds + SETTLING_SECONDS)
            load.end_troubles()
            cloud.set_faults(on=False)
            print("no more troubles; open jobs drain", flush=True)
            bound = max(options.minutes * 60 * (1 - LOAD_SHARE), HIDDEN_SECONDS + SETTLING_SECONDS)
            _wait(load, until=lambda: load.count_open_jobs() == 0, seconds=bound)
        if load.failures:
            print("the campaign itself failed:", *load.failures, sep="\n")
            return False
        _wait_for_empty_queues(cloud)
        evidence = _collect(cloud, load)
        _print_figures(cloud, load, evidence)
    violations = [*find_violations(evidence), *_find_missing_troubles(load, cloud)]
    for violation in violations:
        print("VIOLATION", violation)
    print("violations:", len(violations))
    return not violations


def _wait(load: Load, *, until: Callable[[], bool], seconds: float) -> None:
    """Wait until it is so, a request was refused, or the time is over; prints how far the load is."""
    begun = reported = time.monotonic()
    while not until() and not load.failures and time.monotonic() - begun < seconds:
        if time.monotonic() - reported > _REPORT_SECONDS:
            reported = time.monotonic()
            states = " ".join(f"{status} {count}" for status, count in sorted(load.count_states().items()))
            print(f"{reported - load.begun:5.0f} s: {len(load.accepted)} accepted, {states}", flush=True)
        time.sleep(1)


def _wait_for_empty_queues(cloud: Cloud) -> None:
    ends = time.monotonic() + _EMPTY_SECONDS
    while any(counts.waiting for counts in cloud.count_messages().values()) and time.monotonic() < ends:
        time.sleep(1)


def _collect(cloud: Cloud, load: Load) -> Evidence:
    table = cloud.stack.outputs["JobsTable"]
    return Evidence(
        accepted=dict(load.accepted),
        items={item["id"]: item for item in scan_jobs(cloud.stack.client, table)},
        journal=read_journal(cloud.journal, table),
        waiting_messages={queue: counts.waiting for queue, counts in cloud.count_messages().items()},
        killed_with=load.figures.killed_with,
    )


def _find_missing_troubles(load: Load, cloud: Cloud) -> list[str]:
    """Find what the campaign was to do and did not: without it, its proof is worth nothing."""
    needed = ("workers killed", "workers killed at work", "nodes killed", "engine restarts", "sweeps")
    missing = [f"no trouble: {name} 0 times" for name in needed if not load.figures.counts[name]]
    return missing + ([] if _count_calls(cloud)["passed"] else ["no trouble: no call passed the faults"])


def _count_calls(cloud: Cloud) -> Counter[str]:
    lines = cloud.calls.read_text().splitlines() if cloud.calls.exists() else []
    return Counter(line.rpartition(" ")[2] for line in lines)


def _print_figures(cloud: Cloud, load: Load, evidence: Evidence) -> None:
    calls = _count_calls(cloud)
    attempts = Counter(entry.job_id for entry in evidence.journal if entry.begins_an_attempt)
    crashes = [item.get("crashes", 0) for item in evidence.items.values()]
    print("jobs:", len(evidence.accepted), dict(Counter(item["status"] for item in evidence.items.values())))
    print("jobs by attempts:", dict(sorted(Counter(attempts.values()).items())))
    print("jobs that lost a worker:", sum(count > 0 for count in crashes), "crashes:", sum(crashes))
    print("failed by kills:", sum(is_failed_by_kills(evidence, job_id) for job_id in evidence.items))
    failed = calls.total() - calls["passed"]
    print(f"AWS calls: {calls.total()}, failed: {failed} ({100 * failed / max(1, calls.total()):.1f}%)", dict(calls))
    for name, count in sorted(load.figures.counts.items()):
        print(f"{name}: {count}")
    print("nodes:", ", ".join(NODES))
    print("messages still hidden:", {queue: counts.hidden for queue, counts in cloud.count_messages().items()})


def main() -> None:
    """Run the campaign of the command line in a folder of its own."""
    options = parse(sys.argv[1:])
    for end in (signal.SIGINT, signal.SIGTERM):
        signal.signal(end, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="leaseway-campaign-"))
    print(f"seed {options.seed}, {options.jobs} jobs, {options.minutes:g} minutes, in {folder}", flush=True)
    passed = False
    try:
        passed = run_campaign(options, folder)
    except KeyboardInterrupt:
        print("interrupted")
    finally:
        if passed and not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"journal and logs: {folder}")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
