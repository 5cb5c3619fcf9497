"""Options that many commands share."""

from typing import Annotated

import typer

from leaseway_local.connection.clients import Target
from leaseway_local.connection.engine_choice import resolve_target

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
TargetOption = Annotated[
    Target,
    typer.Option(
        "--target",
        callback=resolve_target,
        help="Where to work: the engine of `leaseway up`, a LocalStack, or AWS.",
    ),
]
