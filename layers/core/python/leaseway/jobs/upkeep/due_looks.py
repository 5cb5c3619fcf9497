"""Due looks: the live jobs whose look is due, shard by shard and oldest first."""

from collections.abc import Mapping

import msgspec

from leaseway.dynamodb.batches import READ_TOGETHER, read_items
from leaseway.dynamodb.query import Query, Range
from leaseway.dynamodb.table import Item
from leaseway.logs import log


class DueKey(msgspec.Struct, frozen=True):
    """One entry of the live index, and its job's item as the table had it; None if the job is gone."""

    id: str
    due_at: int
    item: Item | None


class DueShard:
    """The due looks of one shard of the live index."""

    def __init__(self, shard: str, now: int, start: Item | None = None) -> None:
        self.name = shard
        self.is_read = False
        """Whether every due look was read, or the shard could not be read on."""
        self.has_failed = False
        self.read_until = now
        """When the last look that was read was due (ms)."""
        self.resume: Item | None = start
        """The key after which the next page starts."""
        self._query = Query(
            table="jobs_table", index="live", key=("live_key", shard), range=Range("look_at", "<=", now)
        )

    def read_page(self, limit: int) -> list[DueKey]:
        """Read the next due looks, up to `limit` or a hundred, with their items. One Query and one BatchGetItem.

        Half a read unit per item of 4 KB: an item that is behind is refused by the write that it leads to. If a call
        fails, the shard ends here; its looks stay due.
        """
        try:
            page = self._query.page(start=self.resume, limit=min(limit, READ_TOGETHER))
            keys = [(key["id"]["S"], int(key["look_at"]["N"])) for key in page.items]
            items = self._read({job_id for job_id, _ in keys})
        except Exception:
            log.exception("a shard was not read", extra={"action": "sweep", "shard": self.name})
            self.is_read = self.has_failed = True
            return []
        self.resume, self.is_read = page.after, page.after is None
        self.read_until = keys[-1][1] if keys else self.read_until
        return [DueKey(job_id, due_at, items.get(job_id)) for job_id, due_at in keys]

    def _read(self, ids: set[str]) -> Mapping[str, Item]:
        return {item["id"]["S"]: item for item in (read_items("jobs_table", sorted(ids)) if ids else [])}
