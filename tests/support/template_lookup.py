"""Looking things up in a template, as it is written or as SAM translates it."""

from collections.abc import Iterator
from typing import Any

Described = dict[str, Any]


def of_type(described: Described, kind: str) -> dict[str, Described]:
    """The resources of a type, by logical name."""
    return {name: resource for name, resource in described["Resources"].items() if resource["Type"] == kind}


def properties(described: Described, name: str) -> Described:
    """The properties of one resource."""
    return described["Resources"][name]["Properties"]


def default(described: Described, value: Any) -> Any:
    """A property's value, through the default of the parameter that it refers to."""
    return described["Parameters"][value["Ref"]]["Default"] if isinstance(value, dict) else value


def bounds(described: Described, value: Any) -> tuple[int, int]:
    """The least and the greatest number that a property may have, through the parameter that it refers to."""
    if not isinstance(value, dict):
        return int(value), int(value)
    parameter = described["Parameters"][value["Ref"]]
    return parameter["MinValue"], parameter["MaxValue"]


def target(value: Any) -> str:
    """The logical name that a `Ref` or `Fn::GetAtt` points at."""
    return value["Ref"] if "Ref" in value else value["Fn::GetAtt"][0]


def statements(role: Described) -> Iterator[Described]:
    """What a role's policies say, statement by statement."""
    for policy in role["Properties"]["Policies"]:
        yield from policy["PolicyDocument"]["Statement"]


def listed(value: Any) -> list[Any]:
    """A value that may stand alone, as a list."""
    return value if isinstance(value, list) else [value]
