"""What a minute on one's own hosts costs, against the price of hosted platforms. Pure arithmetic."""

from dataclasses import dataclass
from typing import Final

from voicectl.capacity.sheets import PriceSheet

HOURS_A_MONTH: Final = 730.0
IDLE_POWER: Final = 0.45
"""Part of its full power that a host draws while it waits for calls."""


@dataclass(frozen=True, slots=True)
class CostInputs:
    """What only the buyer knows. Staff is money a month for all hosts together; None was not given."""

    host_usd: float
    power_w: float
    kwh_usd: float = 0.15
    years: float = 4.0
    staff_usd_a_month: float | None = None
    overhead: float = 1.4
    """Power of cooling and supply for each watt of the hosts (PUE)."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A platform's price a minute, the month at that price, and by how much one's own hosts are cheaper."""

    name: str
    what: str
    low_usd: float
    high_usd: float
    month_low_usd: float
    month_high_usd: float


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of all hosts, US dollars. `minute_usd` is per minute of calls, telephony not included."""

    depreciation_usd: float
    power_usd: float
    staff_usd: float | None
    month_usd: float
    minute_usd: float
    minutes_a_month: float
    telephony_low_usd: float
    telephony_high_usd: float
    hosted: tuple[Comparison, ...]
    source: str
    break_even_minutes: float | None
    """Minutes a month from which on these hosts cost less than the cheapest platform; None where never."""


def costs_of(hosts: int, minutes_a_month: float, use: float, inputs: CostInputs, prices: PriceSheet) -> Costs:
    """Return what `hosts` cost a month at a mean use between 0 and 1."""
    depreciation = hosts * inputs.host_usd / (inputs.years * 12)
    watts = inputs.power_w * (IDLE_POWER + (1 - IDLE_POWER) * min(1.0, use))
    power = hosts * watts / 1000 * HOURS_A_MONTH * inputs.kwh_usd * inputs.overhead
    month = depreciation + power + (inputs.staff_usd_a_month or 0.0)
    hosted = tuple(
        Comparison(
            price.name, price.what, price.low, price.high, price.low * minutes_a_month, price.high * minutes_a_month
        )
        for price in prices.hosted
    )
    cheapest = min(price.low for price in prices.hosted)
    return Costs(
        depreciation_usd=depreciation,
        power_usd=power,
        staff_usd=inputs.staff_usd_a_month,
        month_usd=month,
        minute_usd=month / minutes_a_month,
        minutes_a_month=minutes_a_month,
        telephony_low_usd=prices.telephony.low,
        telephony_high_usd=prices.telephony.high,
        hosted=hosted,
        source=prices.source,
        break_even_minutes=month / cheapest if cheapest > 0 else None,
    )
