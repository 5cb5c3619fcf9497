"""What a monitor displays: a table of its nodes, their totals, and the keys."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from leaseway_local.node_monitor.children import Child, Mode

_STYLES = {Mode.GENERATOR: "bold green", Mode.HANDLER: "cyan", Mode.KILLED: "red", Mode.ENDED: "red"}
_NUMBERS = ("generated", "processed", "errors", "rate")


def screen(children: Sequence[Child], note: str) -> Group:
    """Return everything the monitor displays; `note` is the latest event."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False, show_footer=True)
    table.add_column("id", footer="all")
    table.add_column("mode", min_width=9)
    sums = (sum(getattr(child, name) for child in children) for name in _NUMBERS)
    for name, total in zip(_NUMBERS, sums, strict=True):
        table.add_column("per second" if name == "rate" else name, justify="right", footer=_format_number(total))
    for child in children:
        mode = child.mode
        numbers = (_format_number(getattr(child, name)) for name in _NUMBERS)
        table.add_row("…" if child.number is None else str(child.number), Text(mode, _STYLES.get(mode, "")), *numbers)
    # The console does not wrap; a path that is longer than the terminal is wide would be cut.
    wrapped_note = Text(note, "yellow", no_wrap=False, overflow="fold")
    return Group(table, Text("[k] kill the generator   [q] quit", "dim"), wrapped_note)


def _format_number(number: float) -> str:
    return f"{number:,.1f}" if isinstance(number, float) else f"{number:,}"
