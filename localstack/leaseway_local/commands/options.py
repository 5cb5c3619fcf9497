"""Options that many commands share."""

import math
from typing import Annotated

import typer

from leaseway_local.connection.clients import Target
from leaseway_local.connection.engine_choice import resolve_target


def refuse_nan(value: float | None) -> float | None:
    """Refuse NaN, which passes every check of a range.

    Raises:
        typer.BadParameter: the value is NaN.
    """
    if value is not None and math.isnan(value):
        raise typer.BadParameter("NaN is not a number.")
    return value


JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
TargetOption = Annotated[
    Target,
    typer.Option(
        "--target",
        callback=resolve_target,
        help="Which deployment to use: on the engine of `leaseway up`, on a LocalStack, or on AWS.",
    ),
]
PollSecondsOption = Annotated[
    float, typer.Option("--seconds", help="Seconds between two polls.", min=0.2, max=3_600, callback=refuse_nan)
]
PollCountOption = Annotated[
    int, typer.Option("--looks", help="End after this many polls; 0 continues until Ctrl-C.", min=0)
]
CursorOption = Annotated[str | None, typer.Option("--cursor", help="The cursor of the previous page.")]
