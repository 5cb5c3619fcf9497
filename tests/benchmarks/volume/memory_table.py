"""A table in memory for volumes that moto is too slow for: it evaluates the very conditions and updates of the code.

It knows the parts of DynamoDB's expressions that the jobs table uses, and refuses any other.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from operator import eq, ge, gt, le, lt, ne
from typing import Any
from unittest.mock import patch

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path, Value, _IfNotExists, _Increment
from pynamodb.expressions.update import Action, AddAction, RemoveAction, SetAction

from leaseway.dynamodb.table import ConditionRefusedError, Item, Table

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {"=": eq, "<>": ne, "<": lt, "<=": le, ">": gt, ">=": ge}


class MemoryTable:
    """Items by their hash key."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}

    @contextmanager
    def stands_in_for(self, model: type[Table]) -> Iterator[None]:
        """Let a model read and write here while the block runs."""
        with ExitStack() as stack:
            for name in ("read", "change", "insert"):
                stack.enter_context(patch.object(model, name, getattr(self, name)))
            yield

    def read(self, key: str) -> Item | None:
        """As `Table.read`."""
        item = self.items.get(key)
        return None if item is None else dict(item)

    def change(self, key: str, actions: Sequence[Action], condition: Condition) -> Item:
        """As `Table.change`."""
        item = self.items.get(key, {})
        if not holds(condition, item):
            raise ConditionRefusedError(self.read(key))
        self.items[key] = apply(actions, item)
        return dict(self.items[key])

    def insert(self, model: Table) -> None:
        """As `Table.insert`."""
        item = model.serialize()
        key = next(iter(item["id"].values()))
        if key in self.items:
            raise ConditionRefusedError(self.read(key))
        self.items[key] = item


def holds(condition: Condition, item: Item) -> bool:
    """Evaluate a condition on an item."""
    name, operands = condition.operator, condition.values
    if name in ("AND", "OR", "NOT"):
        parts = [holds(part, item) for part in operands]
        return {"AND": all, "OR": any, "NOT": lambda only: not only[0]}[name](parts)
    left, *right = (_evaluate(operand, item) for operand in operands)
    if not right:
        return (left is not None) == {"attribute_exists": True, "attribute_not_exists": False}[name]
    if left is None or right[0] is None or left.keys() != right[0].keys():
        return False
    return _COMPARISONS[name](_plain(left), _plain(right[0]))


def apply(actions: Sequence[Action], item: Item) -> Item:
    """Apply an update to an item. Every operand is read from the item as it was."""
    after = dict(item)
    names = [_name(action.values[0]) for action in actions]
    if len(set(names)) < len(names):
        raise ValueError("two actions of one update change one attribute")
    for action, name in zip(actions, names, strict=True):
        match action:
            case RemoveAction():
                after.pop(name, None)
            case SetAction():
                after[name] = _require(_evaluate(action.values[1], item))
            case AddAction():
                after[name] = _add(item.get(name, {"N": "0"}), _require(_evaluate(action.values[1], item)))
            case _:
                raise NotImplementedError(action)
    return after


def _evaluate(operand: Any, item: Item) -> dict[str, Any] | None:
    match operand:
        case Path():
            return item.get(_name(operand))
        case Value():
            value: dict[str, Any] = operand.value
            return value
        case _Increment():
            left, right = (_require(_evaluate(part, item)) for part in operand.values)
            return _add(left, right)
        case _IfNotExists():
            path, default = operand.values
            return _evaluate(path, item) or _evaluate(default, item)
    raise NotImplementedError(operand)


def _name(path: Path) -> str:
    (name,) = path.path
    return str(name)


def _require(value: dict[str, Any] | None) -> dict[str, Any]:
    if value is None:
        raise ValueError("an update reads an attribute that is not there")
    return value


def _add(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    return {"N": str(int(left["N"]) + int(right["N"]))}


def _plain(value: dict[str, Any]) -> Any:
    ((kind, plain),) = value.items()
    return int(plain) if kind == "N" else plain
