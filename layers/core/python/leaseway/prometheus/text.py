"""Prometheus' text format 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats/."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from leaseway.prometheus.families import BUCKETS, FAMILIES, Family

Labels = tuple[str, ...]
"""Values of a family's labels, in their order."""

_ESCAPED_HELP = str.maketrans({"\\": r"\\", "\n": r"\n"})
_ESCAPED_VALUE = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_BOUNDS = (*(str(bound).removesuffix(".0") for bound in BUCKETS), "+Inf")


class Histogram(NamedTuple):
    """Observations of one series: how many fell into each bucket alone (the last is open), and their sum."""

    counts: Sequence[int]
    sum: float


Values = Mapping[str, Mapping[Labels, float | Histogram]]
"""Values by family and labels."""


def render(values: Values) -> str:
    """The page: each family with its help and its kind, even if it has no series yet; series are sorted."""
    return "".join(f"{line}\n" for name, family in FAMILIES.items() for line in _lines(name, family, values))


def _lines(name: str, family: Family, values: Values) -> Iterator[str]:
    yield f"# HELP {name} {family.meaning.translate(_ESCAPED_HELP)}"
    yield f"# TYPE {name} {family.kind}"
    for labels, value in sorted(values.get(name, {}).items(), key=lambda series: series[0]):
        named = list(zip(family.labels, labels, strict=True))
        if isinstance(value, Histogram):
            yield from _lines_of_histogram(name, named, value)
        else:
            yield _sample(name, named, value)


def _lines_of_histogram(name: str, named: list[tuple[str, str]], histogram: Histogram) -> Iterator[str]:
    so_far = list(accumulate(histogram.counts))
    for bound, count in zip(_BOUNDS, so_far, strict=True):
        yield _sample(f"{name}_bucket", [*named, ("le", bound)], count)
    yield _sample(f"{name}_sum", named, histogram.sum)
    yield _sample(f"{name}_count", named, so_far[-1])


def _sample(name: str, named: Iterable[tuple[str, str]], value: float) -> str:
    labels = ",".join(f'{label}="{text.translate(_ESCAPED_VALUE)}"' for label, text in named)
    return f"{name}{{{labels}}} {value!r}" if labels else f"{name} {value!r}"
