"""Hypothesis strategies for answers of a shape: valid ones, and ones that are corrupt in one place."""

import copy
import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints, is_typeddict

import msgspec
from hypothesis import strategies as st

HOSTILE = "\x1b]0;x\x07\x1b[2J\x9b31m\x7f\u202e[/][bold]\u2066\u2028\u200f\ud800"
TEXTS = (HOSTILE, "", "COMPLETED", "RUNNING", "FAILED", "2026-02-04T15:30:00.000Z", "soon", "a" * 300)
_JUNK: tuple[Any, ...] = (None, True, -1, 1.5, 10**400, HOSTILE, [], {}, [[None]], {"a": None})
junk = st.sampled_from(_JUNK).map(copy.deepcopy)  # an answer is changed in place, and must not change the next one


def valid_answers(shape: Any) -> st.SearchStrategy[Any]:
    """Answers of this shape, in which any field that may be null sometimes is."""
    if get_origin(shape) is Annotated:
        pattern = next((meta.pattern for meta in get_args(shape)[1:] if isinstance(meta, msgspec.Meta)), None)
        return st.sampled_from(["1", "0" * 32]) if pattern else valid_answers(get_args(shape)[0])
    if get_origin(shape) in {Union, types.UnionType}:
        return st.one_of(*(valid_answers(each) for each in get_args(shape)))
    if is_typeddict(shape):
        hints = get_type_hints(shape, include_extras=True)
        fields = {name: valid_answers(hint) for name, hint in hints.items()}
        if "cursor" in fields:  # few, so that a list ends
            fields["cursor"] = st.sampled_from([None, "a", "b"])
        if "after" in fields:
            fields["after"] = st.sampled_from([None, {"key": 1}, {"key": 2}])
        return st.fixed_dictionaries(fields)
    if get_origin(shape) is list:
        return st.lists(valid_answers(get_args(shape)[0]), max_size=2)
    if get_origin(shape) is dict or shape is dict:
        values = get_args(shape)[1:] or (Any,)
        return st.dictionaries(st.sampled_from(["a", HOSTILE]), valid_answers(values[0]), max_size=2)
    plain: dict[Any, st.SearchStrategy[Any]] = {
        str: st.sampled_from(TEXTS),
        int: st.integers(-1, 10**18),
        float: st.floats(allow_nan=True, allow_infinity=True),
        bool: st.booleans(),
        type(None): st.none(),
        Any: junk,
    }
    return plain[shape]


@st.composite
def corrupt_answers(draw: st.DrawFn, shape: Any) -> Any:
    """Answers of this shape in which one value is replaced or missing, and perhaps another is added."""
    answer = draw(valid_answers(shape))
    places = list(_list_places(answer))
    if not places:
        return draw(junk)
    holder, key = draw(st.sampled_from(places))
    match draw(st.sampled_from(["replace", "remove", "add"])):
        case "replace":
            holder[key] = draw(junk)
        case "remove":
            del holder[key]
        case "add":
            answer["unknown"] = draw(junk)
    return answer


def _list_places(node: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in keys:
        yield node, key
        yield from _list_places(node[key])
