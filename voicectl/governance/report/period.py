"""The days that a report is about: whole days, UTC, up to and with its last one."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal

Cadence = Literal["weekly", "monthly", "quarterly"]

NUM_DAYS: Final[dict[Cadence, int]] = {"weekly": 7, "monthly": 30, "quarterly": 91}
EPOCH: Final = date(1970, 1, 1)
DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Period:
    """The days from `first` to `last`, both with it. `as_of` is the instant up to which things are known."""

    cadence: Cadence
    first: date
    last: date
    as_of: float

    @property
    def since(self) -> float:
        """The instant at which it begins, seconds since the epoch."""
        return (self.first - EPOCH).days * DAY_S

    @property
    def until(self) -> float:
        """The instant before which it ends."""
        return ((self.last - EPOCH).days + 1) * DAY_S

    @property
    def days(self) -> range:
        """Its days, counted from the epoch."""
        return range((self.first - EPOCH).days, (self.last - EPOCH).days + 1)

    @property
    def is_over(self) -> bool:
        """Whether its last day is over."""
        return self.as_of >= self.until

    def before(self) -> "Period":
        """Return the equally long period before, as it is known now."""
        length = self.last - self.first + timedelta(days=1)
        return Period(self.cadence, self.first - length, self.last - length, self.as_of)


def period_of(cadence: Cadence, *, last: date | None, now: float) -> Period:
    """Return the period that ends with `last`, or with yesterday. What comes after `now` is not known yet."""
    today = datetime.fromtimestamp(now, UTC).date()
    chosen = last or today - timedelta(days=1)
    return Period(cadence, chosen - timedelta(days=NUM_DAYS[cadence] - 1), chosen, now)


def day_of(number: int) -> date:
    """Return the day with that number from the epoch."""
    return EPOCH + timedelta(days=number)
