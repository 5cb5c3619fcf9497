"""Handler of the meter function: the log groups' subscriptions call it with lines of one log stream.

CloudWatch Logs calls it asynchronously and may do so again with the same lines; a delivery that fails is repeated as it
is. Its own log must not be subscribed: each delivery would cause the next.
"""

from leaseway import coldstart

with coldstart.loading():
    import base64
    import gzip
    from typing import TYPE_CHECKING, Any

    import msgspec

    from leaseway import metrics
    from leaseway.logs import log
    from leaseway.prometheus.meter import count_lines

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


_LINES = "DATA_MESSAGE"
"""The kind of delivery that brings lines; others try whether anybody is there."""


@metrics.flush_after("meter")
def handler(event: dict[str, Any], context: "LambdaContext") -> None:
    """Count one delivery; what an earlier one counted is skipped."""
    delivery = msgspec.json.decode(gzip.decompress(base64.b64decode(event["awslogs"]["data"])))
    if delivery["messageType"] != _LINES:
        return
    report = count_lines(delivery["logStream"], delivery["logEvents"])
    log.info("counted", extra={"action": "meter", "of": delivery["logGroup"], **msgspec.to_builtins(report)})
