"""A proportion with what it rests on: how many, of how many, how many unknown, and its interval."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Self

Z95: Final = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`num` of `of` known cases; `unknown` more could not be told. Without a known case there is no value."""

    num: int
    of: int
    unknown: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.num <= self.of or self.unknown < 0:
            raise ValueError(f"{self.num} of {self.of}, {self.unknown} unknown, is no proportion")

    @property
    def value(self) -> float | None:
        """The proportion, None when nothing is known."""
        return self.num / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % Wilson interval, None when nothing is known."""
        return wilson(self.num, self.of) if self.of else None

    @property
    def complement(self) -> Self:
        """The rate of the opposite."""
        return type(self)(self.of - self.num, self.of, self.unknown)

    def __add__(self, other: "Rate") -> "Rate":
        return Rate(self.num + other.num, self.of + other.of, self.unknown + other.unknown)

    def document(self) -> dict[str, Any]:
        """Return the rate as JSON."""
        low, high = self.interval or (None, None)
        return {
            "value": self.value,
            "low": low,
            "high": high,
            "num": self.num,
            "of": self.of,
            "unknown": self.unknown,
        }


NOTHING: Final = Rate(0, 0)


def total(rates: Iterable[Rate]) -> Rate:
    """Return the rate over all cases together."""
    return sum(rates, NOTHING)


def wilson(num: int, of: int, z: float = Z95) -> tuple[float, float]:
    """Return the Wilson score interval of `num` of `of`, two-sided. `of` must not be 0."""
    share = num / of
    scale = 1 + z * z / of
    middle = (share + z * z / (2 * of)) / scale
    reach = z / scale * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return (0.0 if num == 0 else middle - reach), (1.0 if num == of else middle + reach)
