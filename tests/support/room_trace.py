"""Which module calls which while something runs: the walks of docs/explanation/architecture.md, as they really are.

A room is a module of the functions or of the layer. Entering one is calling a function of it from another room. Reading
a property, resuming a generator and importing do not enter.
"""

import dis
import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
ROOTS = {f"{ROOT}/functions/": "functions/", f"{ROOT}/layers/core/python/": ""}
"""Where rooms lie, and how the page of architecture abbreviates that."""


class Entrance(NamedTuple):
    """A call from one room into another; `by` is None for the first room and for the function of a new thread."""

    by: str | None
    room: str


class RoomTrace:
    """The entrances in the order in which they happened, in all threads."""

    def __init__(self, is_left_out: Callable[[str], bool]) -> None:
        self.entrances: list[Entrance] = []
        self._is_left_out = is_left_out

    def note(self, frame: FrameType, event: str, _argument: Any) -> None:
        """Note a call; `sys.setprofile` calls this at each."""
        if event != "call" or (room := self._room_of(frame)) is None or _is_no_entrance(frame):
            return
        caller = frame.f_back
        while caller is not None and self._room_of(caller) is None:
            caller = caller.f_back
        by = self._room_of(caller) if caller is not None else None
        if by != room:
            self.entrances.append(Entrance(by, room))

    def _room_of(self, frame: FrameType) -> str | None:
        room = _name_room(frame.f_code.co_filename)
        return None if room is None or self._is_left_out(room) else room

    def list_rooms(self) -> list[str]:
        """List the rooms in the order in which they were first entered."""
        return list(dict.fromkeys(entrance.room for entrance in self.entrances))

    def find_second_entrances(self, loops: Sequence[str] = ()) -> list[str]:
        """Describe each entrance into a room that was left before, unless it brings an answer back.

        An answer goes back up to a room that the calling one was entered from. The rooms of `loops` may enter each of
        theirs again and again.
        """
        parents: dict[str, str | None] = {}
        children: dict[str | None, list[str]] = {}
        offences: list[str] = []
        for by, room in self.entrances:
            entered = children.setdefault(by, [])
            if room not in parents:
                parents[room] = by
                entered.append(room)
            elif by is None or _is_above(room, by, parents):
                continue  # its own thread, or an answer
            elif parents[room] != by:
                offences.append(f"{room} is entered from {parents[room]} and from {by}")
            elif entered[-1] != room and by not in loops:
                offences.append(f"{room} is entered from {by}, and again after {entered[-1]}")
        return list(dict.fromkeys(offences))


@contextmanager
def trace_rooms(is_left_out: Callable[[str], bool]) -> Iterator[RoomTrace]:
    """Trace the calls of this thread, and of threads that it starts, without the rooms that are left out."""
    trace = RoomTrace(is_left_out)
    threading.setprofile(trace.note)
    sys.setprofile(trace.note)
    try:
        yield trace
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def _is_above(room: str, below: str, parents: dict[str, str | None]) -> bool:
    above = parents[below]
    while above is not None and above != room:
        above = parents[above]
    return above == room


@cache
def _name_room(file: str) -> str | None:
    return next((short + file.removeprefix(root) for root, short in ROOTS.items() if file.startswith(root)), None)


def _is_no_entrance(frame: FrameType) -> bool:
    code = frame.f_code
    # Module bodies and comprehensions; callbacks without a name run for the room that made them.
    is_nameless = code.co_name.startswith("<")
    is_resumed = bool(code.co_flags & inspect.CO_GENERATOR) and frame.f_lasti != _find_start(code)
    return is_nameless or is_resumed or code in _find_getters(frame.f_globals["__name__"])


@cache
def _find_start(code: CodeType) -> int:
    """Find where a call begins; a generator that goes on does so at another `RESUME`."""
    return next(each.offset for each in dis.get_instructions(code) if each.opname == "RESUME" and each.arg == 0)


@cache
def _find_getters(module: str) -> frozenset[CodeType]:
    classes = [each for each in vars(sys.modules[module]).values() if isinstance(each, type)]
    members = [member for each in classes for member in vars(each).values()]
    getters = [member.fget for member in members if isinstance(member, property)]
    getters += [member.func for member in members if isinstance(member, cached_property)]
    return frozenset(getter.__code__ for getter in getters if hasattr(getter, "__code__"))
