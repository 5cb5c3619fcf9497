"""Looking things up in a template, as it is written or as SAM translates it."""

from collections.abc import Iterator
from typing import Any

Template = dict[str, Any]


def find_resources(described: Template, kind: str) -> dict[str, Template]:
    """Find the resources of a type, by logical name."""
    return {name: resource for name, resource in described["Resources"].items() if resource["Type"] == kind}


def properties_of(described: Template, name: str) -> Template:
    """Return the properties of one resource."""
    return described["Resources"][name]["Properties"]


def resolve_default(described: Template, value: Any) -> Any:
    """Resolve a property's value, through the default of the parameter that it refers to."""
    return described["Parameters"][value["Ref"]]["Default"] if isinstance(value, dict) else value


def resolve_bounds(described: Template, value: Any) -> tuple[int, int]:
    """Return the least and greatest value of a property, through the parameter that it refers to."""
    if not isinstance(value, dict):
        return int(value), int(value)
    parameter = described["Parameters"][value["Ref"]]
    return parameter["MinValue"], parameter["MaxValue"]


def resolve_name(value: Any) -> str:
    """Return the logical name that a `Ref` or `Fn::GetAtt` points at."""
    return value["Ref"] if "Ref" in value else value["Fn::GetAtt"][0]


def list_statements(role: Template) -> Iterator[Template]:
    """List the statements of a role's policies."""
    for policy in role["Properties"]["Policies"]:
        yield from policy["PolicyDocument"]["Statement"]


def as_list(value: Any) -> list[Any]:
    """Return a list as it is, and any other value as a list of one."""
    return value if isinstance(value, list) else [value]
