"""What CloudWatch Logs delivers to the meter function."""

import base64
import gzip
import json
from collections.abc import Iterable
from typing import Any


def make_delivery(
    lines: Iterable[str], *, first: int = 0, stream: str = "one", kind: str = "DATA_MESSAGE"
) -> dict[str, Any]:
    """Make a delivery of lines of one log stream, with ids that count from `first`."""
    events = [{"id": str(number), "timestamp": 0, "message": line} for number, line in enumerate(lines, start=first)]
    document = {"messageType": kind, "logGroup": "/aws/lambda/api", "logStream": stream, "logEvents": events}
    return {"awslogs": {"data": base64.b64encode(gzip.compress(json.dumps(document).encode())).decode()}}
