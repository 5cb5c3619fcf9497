"""The jobs table's stream: records become changes of the totals."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from leaseway.table import Item
from leaseway.tasks.stats import run_steps
from leaseway.totals import Change, Group


def changes(records: Iterable[Mapping[str, Any]]) -> Iterator[Change]:
    """The change of each record (DynamoDB Streams, NEW_AND_OLD_IMAGES), in their order.

    An image that is not a job counts as absent: it must not block its shard, and it is no job to be counted.
    """
    for record in records:
        images = record["dynamodb"]
        old, new = images.get("OldImage"), images.get("NewImage")
        yield Change(record["eventID"], _group(old), _group(new), run_steps(old, new))


def _group(image: Item | None) -> Group | None:
    try:
        return Group(*(image[name]["S"] for name in Group._fields)) if image else None
    except KeyError:
        return None
