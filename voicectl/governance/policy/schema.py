"""What a gate policy may say: its keys, units and bounds. Knows no file and no evidence."""

import re
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from voicectl.core.records import Tier

TIERS: Final[tuple[Tier, ...]] = ("low", "medium", "high")
"""From the least risk to the most."""
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)([smhd])")

Metric = Literal["containment_rate", "compliance_flag_rate", "warm_transfer_success", "escalation_to_complaint"]
AlertMetric = Literal[
    "v2v", "containment_drop", "containment_rate", "compliance_flag_rate", "warm_transfer_failure", "wer"
]
Violation = Literal["dnc_dial", "out_of_window_dial", "missing_consent", "pan_in_log", "missing_baa", "audit_break"]
Binding = Literal["policy", "evidence", "configuration", "audit_checkpoint"]


def parse_duration(value: Any) -> float:
    """Return the seconds of a text such as 7d, 24h or 3.5s. Raises ValueError."""
    matched = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if matched is None:
        raise ValueError(f"{value!r} is no duration: write a number and s, m, h or d, for example 7d")
    seconds = float(matched[1]) * _UNITS[matched[2]]
    if seconds <= 0:
        raise ValueError("a duration must be longer than nothing")
    return seconds


Duration = Annotated[float, BeforeValidator(parse_duration)]
Share = Annotated[float, Field(strict=True, gt=0, lt=1)]
Name = Annotated[str, Field(strict=True, pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class Part(BaseModel):
    """A section that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)


class Defaults(Part):
    """What holds for every criterion."""

    window: Duration
    alpha: Annotated[float, Field(strict=True, gt=0, le=0.1)]
    evidence: Literal["eprocess"]
    missing: Literal["fail"]
    max_staleness: Duration
    max_unscored: Annotated[int, Field(strict=True, ge=0)]


class Criterion(Part):
    """The bar of one proportion, and the least number of events in the window."""

    gte: Share | None = None
    gt: Share | None = None
    lte: Share | None = None
    lt: Share | None = None
    min_n: Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
    denominator: Literal["attempted"] | None = None
    maturity: Duration | None = None

    def bars(self) -> dict[str, float]:
        """Return the bars that are set, by operator."""
        return {name: bar for name in ("gte", "gt", "lte", "lt") if (bar := getattr(self, name)) is not None}

    @property
    def operator(self) -> str:
        """The one operator of a valid criterion."""
        return next(iter(self.bars()))

    @property
    def bar(self) -> float:
        """The one bar of a valid criterion."""
        return next(iter(self.bars().values()))


class TierRules(Part):
    """A tier's use cases; what it takes to enter it, and to advance from it."""

    use_cases: Annotated[tuple[Name, ...], Field(min_length=1, max_length=256)]
    forbid_scopes: tuple[Literal["phi", "pci"], ...] = ()
    entry_requires: tuple[Name, ...] = ()
    criteria: dict[Metric, Criterion] = Field(default_factory=dict)


class Alert(Part):
    """A threshold at which somebody is told. `demote` also takes traffic from the use cases that broke it."""

    metric: AlertMetric
    gt: Annotated[float, Field(strict=True, gt=0)] | None = None
    lt: Annotated[float, Field(strict=True, gt=0)] | None = None
    p90_gt: Duration | None = None
    p99_gt: Duration | None = None
    target_lt: Annotated[float, Field(strict=True, gt=0)] | None = None
    over: Duration | None = None
    after: Duration | None = None
    unit: Literal["relative"] | None = None
    severity: Literal["warning", "page"] | None = None
    to: Name | None = None
    verdict: Literal["design_problem"] | None = None
    demote: Annotated[bool, Field(strict=True)] = False

    def bars(self) -> dict[str, float]:
        """Return the thresholds that are set, by operator."""
        return {name: bar for name in ("gt", "lt", "p90_gt", "p99_gt") if (bar := getattr(self, name)) is not None}


class SignOffRules(Part):
    """Who has to sign, and what a signature is bound to."""

    require: Annotated[tuple[Name, ...], Field(min_length=1, max_length=16)]
    distinct_people: Annotated[bool, Field(strict=True)]
    author_may_not_sign: Annotated[bool, Field(strict=True)]
    expires: Duration
    binds: tuple[Binding, ...]
    fields: tuple[Literal["reviewer", "role", "date"], ...]


class Cadence(Part):
    """How often what is reviewed."""

    scoring: Literal["weekly", "monthly", "quarterly"]
    vendor: Literal["weekly", "monthly", "quarterly"]
    compliance: Literal["weekly", "monthly", "quarterly"]


class Policy(Part):
    """A whole policy. Tiers are in rising order of risk; the last has no criteria to advance from it."""

    api_version: Literal["voicectl/v1"] = Field(alias="apiVersion")
    kind: Literal["GatePolicy"]
    defaults: Defaults
    tiers: dict[Tier, TierRules]
    zero_tolerance: tuple[Violation, ...]
    alerts: tuple[Alert, ...] = ()
    checklist: tuple[Name, ...]
    roles: tuple[Name, ...]
    signoff: SignOffRules
    cadence: Cadence

    def tier_of(self, use_case: str) -> Tier | None:
        """Return the tier of a use case, None if the policy does not list it."""
        return next((tier for tier, rules in self.tiers.items() if use_case in rules.use_cases), None)

    def below(self, tier: Tier) -> Tier | None:
        """Return the tier whose evidence opens this one, None for the lowest."""
        place = TIERS.index(tier)
        return TIERS[place - 1] if place else None
