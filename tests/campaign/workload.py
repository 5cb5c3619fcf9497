"""The jobs of a campaign: their types, lengths, priorities and orders, all from one seed."""

import base64
import functools
import io
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from PIL import Image

ORDER_KEYS = 20
_ORDERED_SHARE = 0.15
_BROKEN_SHARE = 0.03
_DELAYED_SHARE = 0.05
_PRIORITIES = {"high": 2, "normal": 6, "low": 2}
_NO_PICTURE = {"source": {"base64": base64.b64encode(b"no picture").decode()}, "width": 1, "height": 1}


@dataclass(frozen=True)
class Wish:
    """A job that the campaign creates."""

    number: int
    moment: float
    """When it is created: from 0, the begin of the campaign's load, to 1, its end."""
    body: dict[str, Any]
    expected_status: str

    @property
    def order_key(self) -> str | None:
        """Jobs of one key run one by one, as they were created."""
        return self.body.get("order_key")

    @property
    def is_healthy(self) -> bool:
        """Whether nothing but the campaign's own troubles keeps it from its end."""
        return self.expected_status == "COMPLETED"


def draw_workload(jobs: int, seed: int, longest_ms: int) -> list[Wish]:
    """Draw the campaign's jobs, by the moment at which they are created."""
    draw = random.Random(seed)
    moments = sorted(draw.random() for _ in range(jobs))
    return [_draw_wish(number, moment, draw, longest_ms) for number, moment in enumerate(moments)]


def split_into_lanes(workload: list[Wish], lanes: int) -> list[list[Wish]]:
    """Split the jobs over threads that create them: all jobs of an order key to one, so that they keep their order."""
    return [[wish for wish in workload if _choose_lane(wish, lanes) == lane] for lane in range(lanes)]


def _choose_lane(wish: Wish, lanes: int) -> int:
    return (int(wish.order_key.rpartition("/")[2]) if wish.order_key else wish.number) % lanes


def _draw_wish(number: int, moment: float, draw: random.Random, longest_ms: int) -> Wish:
    body = draw.choice(list(_draw_bodies(draw, longest_ms)))
    expected = "COMPLETED"
    if draw.random() < _BROKEN_SHARE:
        body, expected = {"type": "IMAGE_RESIZE", "payload": _NO_PICTURE, "max_attempts": 2}, "FAILED"
    if draw.random() < _ORDERED_SHARE:
        return Wish(number, moment, body | {"order_key": f"campaign/{draw.randrange(ORDER_KEYS)}"}, expected)
    body = body | {"priority": draw.choices(list(_PRIORITIES), list(_PRIORITIES.values()))[0]}
    if draw.random() < _DELAYED_SHARE:
        body = body | {"delay_seconds": draw.randint(1, 20)}
    return Wish(number, moment, body, expected)


def _draw_bodies(draw: random.Random, longest_ms: int) -> Iterator[dict[str, Any]]:
    """One body of each kind; half of them sleep, a few for long."""
    for _ in range(3):
        yield _sleep(draw.randint(0, 1_500))
    yield _sleep(draw.randint(1_500, longest_ms) if draw.random() < 0.15 else draw.randint(0, 500))
    yield {"type": "GENERATE_LOGIN", "payload": {"length": draw.randint(4, 20)}}
    yield {"type": "GENERATE_NUMBER", "payload": {"digits": draw.randint(1, 12)}}
    yield {"type": "PRIME_COUNT", "payload": {"below": draw.randint(10, 200_000), "duration_ms": 0}}
    yield {"type": "IMAGE_RESIZE", "payload": {"source": {"base64": _picture()}, "width": 16, "height": 12}}


def _sleep(duration_ms: int) -> dict[str, Any]:
    return {"type": "SLEEP", "payload": {"duration_ms": duration_ms}}


@functools.cache
def _picture() -> str:
    drawn = io.BytesIO()
    Image.new("RGB", (64, 48), "teal").save(drawn, "PNG")
    return base64.b64encode(drawn.getvalue()).decode()
