"""The sweep's policy at commit 883dc55: shard after shard, one look after the other, one budget for all."""

from benchmarks.volume.simulated_region import SHARDS, SimulatedRegion

LOOKS = 1_000
SECONDS = 45
BACKLOG = 100
READ_TOGETHER = 100
FIRST_LOOK_MS = 120_000
LOOK_CAP_MS = 3_600_000
LONGEST_DELAY_MS = 900_000


class OldSweep:
    """One sweep, on a region whose jobs are CREATED and stand in the shards of that time."""

    def __init__(self, region: SimulatedRegion, scale: float) -> None:
        self._region = region
        self._left = max(1, round(LOOKS * scale))
        self._backlog = max(1, round(BACKLOG * scale))
        self._begin = region.now_ms
        self._ends = region.seconds + SECONDS
        self._unsent: list[tuple[str, int]] = []

    def run(self) -> None:
        """Look at what is due, until nothing is or the budget is spent."""
        for shard in range(SHARDS):
            keys = self._region.find_due(str(shard), self._begin, self._left)
            for start in range(0, len(keys), READ_TOGETHER):
                self._region.call()  # BatchGetItem
                self._look_at([job_id for _, job_id in keys[start : start + READ_TOGETHER]])
                if self._is_spent:
                    return

    @property
    def _is_spent(self) -> bool:
        return self._left <= 0 or self._region.seconds >= self._ends

    def _look_at(self, ids: list[str]) -> None:
        for job_id in ids:
            if self._is_spent:
                break
            self._left -= 1
            self._look(job_id)
        for start in range(0, len(self._unsent), 10):
            self._region.call()  # SendMessageBatch
            for job_id, delay_seconds in self._unsent[start : start + 10]:
                self._region.send(job_id, delay_seconds)
        self._unsent.clear()

    def _look(self, job_id: str) -> None:
        item, now = self._region.items[job_id], self._begin
        run_after = int(item["run_after"]["N"]) if "run_after" in item else 0
        if run_after > now:
            self._look_at_delayed(job_id, run_after)
            return
        waited = now - max(int(item["updated_at"]["N"]), run_after)
        wait = min(LOOK_CAP_MS, max(FIRST_LOOK_MS, waited))
        if wait == LOOK_CAP_MS or self._region.depth <= self._backlog:
            self._unsent.append((job_id, 0))
        self._region.move_look(job_id, now + wait)

    def _look_at_delayed(self, job_id: str, run_after: int) -> None:
        delay = -(-(run_after - self._begin) // 1000)  # from the begin of the sweep on
        if delay * 1000 > LONGEST_DELAY_MS:
            self._region.move_look(job_id, run_after - LONGEST_DELAY_MS // 2)
            return
        self._unsent.append((job_id, delay))
        self._region.move_look(job_id, run_after + FIRST_LOOK_MS)
