"""`make bench-volume`: simulates every row at its full volume, prints the table, and fails if a target is missed.

Time is simulated too, with a cost for each call, so that the figures do not depend on the machine.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence

from benchmarks.volume.row import BEFORE, FULL, Outcome, Row, find_rows


def print_table(rows: Sequence[Row], scale: float) -> bool:
    """Simulate the rows and print a line for each; returns whether every target was reached."""
    print(f"| what | target | {BEFORE} | now | |\n|---|---|---|---|---|")
    missed = [row.number for row, outcomes in _simulate(rows, scale) if not _print_line(row, *outcomes)]
    return not missed


def _simulate(rows: Sequence[Row], scale: float) -> Iterator[tuple[Row, tuple[Outcome, Outcome]]]:
    return ((row, (row.before(scale), row.now(scale))) for row in rows)


def _print_line(row: Row, before: Outcome, now: Outcome) -> bool:
    reached = row.is_reached(now.value)
    verdict = "reached" if reached else "MISSED"
    print(f"| {row.number}. {row.what} | {row.target} | {before.text} | {now.text} | {verdict} |", flush=True)
    return reached


def main() -> int:
    """Print the table of all rows, or of those whose numbers are named; returns 1 if a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("numbers", nargs="*", type=int, help="rows to simulate; all by default")
    parser.add_argument("--scale", type=float, default=FULL, help="share of the volume")
    options = parser.parse_args()
    rows = [row for row in find_rows() if not options.numbers or row.number in options.numbers]
    return 0 if print_table(rows, options.scale) else 1


if __name__ == "__main__":
    sys.exit(main())
