"""What the gate knows about calls, as counts. Knows neither the database nor the bars.

Instants are seconds since the epoch, UTC. A good event is one that counts for the use case: a call contained, a
call not flagged, a transfer that was warm, an escalation without a complaint.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import rfc8785

from voicectl.governance.gate.judge import JudgeError
from voicectl.governance.policy.schema import Metric


@dataclass(frozen=True, slots=True)
class Tally:
    """Events of one proportion. Unknown ones are not excluded: they count as bad in every decision.

    `judged` of the known ones rest on the judge's word, and `judged_good` of these are good by it.
    """

    good: int = 0
    bad: int = 0
    unknown: int = 0
    judged: int = 0
    judged_good: int = 0

    @property
    def total(self) -> int:
        """All events."""
        return self.good + self.bad + self.unknown

    @property
    def worst(self) -> float | None:
        """The rate of good events if all unknown ones are bad; None without events."""
        return self.good / self.total if self.total else None

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.good + other.good,
            self.bad + other.bad,
            self.unknown + other.unknown,
            self.judged + other.judged,
            self.judged_good + other.judged_good,
        )


@dataclass(frozen=True, slots=True)
class Setup:
    """What answered calls: the digests whose change makes evidence begin anew. None is unknown."""

    model: str | None
    prompt: str | None
    config: str | None

    @property
    def is_known(self) -> bool:
        """Whether all digests are known."""
        return None not in (self.model, self.prompt, self.config)


@dataclass(frozen=True, slots=True)
class UseCaseEvidence:
    """The calls of one use case in the window and since `since`, probes aside.

    `since` is its entry into the tier, `entered_at`, or the last change of the setup, whichever is later.
    """

    use_case: str
    since: float
    entered_at: float = 0.0
    setup: Setup | None = None
    was_changed: bool = False
    num_calls: int = 0
    num_window_calls: int = 0
    judges: tuple[str, ...] = ()
    window: Mapping[Metric, Tally] = field(default_factory=dict)
    total: Mapping[Metric, Tally] = field(default_factory=dict)
    containment_24h: Tally = Tally()
    containment_before: Tally = Tally()
    flags_24h: Tally = Tally()


@dataclass(frozen=True, slots=True)
class Structure:
    """Counts of what must not be in evidence that is to be believed, over the calls since entry."""

    newest_ended_at: float | None = None
    never_ended: int = 0
    duplicated: int = 0
    in_the_future: int = 0
    before_time: int = 0
    reversed_times: int = 0
    unscored: int = 0
    other_judge: int = 0
    other_tier: int = 0
    unlisted: int = 0
    without_setup: int = 0
    without_row: int = 0
    without_events: int = 0
    forbidden_scope: int = 0
    complaints_imported_at: float | None = None


@dataclass(frozen=True, slots=True)
class Quality:
    """What alerts look at beyond proportions: v2v percentiles in seconds, and word errors against references."""

    num_turns: int = 0
    v2v_p90_s: float | None = None
    v2v_p99_s: float | None = None
    wer_errors: int = 0
    wer_words: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that the database says about a tier at an instant, and the digest of the rows it was counted from."""

    tier: str | None
    as_of: float
    window_s: float
    use_cases: tuple[UseCaseEvidence, ...] = ()
    structure: Structure = Structure()
    judge: Mapping[str, JudgeError] = field(default_factory=dict)
    violations: Mapping[str, int] = field(default_factory=dict)
    quality: Quality = Quality()
    rows_digest: str = ""

    @property
    def digest(self) -> str:
        """The sha256 of the canonical form of all that does not change when a late call is written.

        How fresh it is says what was known when it was read: a call that had ended may be committed after that.
        """
        document = self.document()
        del document["structure"]["newest_ended_at"]
        return hashlib.sha256(rfc8785.dumps(document)).hexdigest()

    @property
    def configuration_digest(self) -> str:
        """The sha256 of what answered the calls, by use case."""
        setups = {one.use_case: None if one.setup is None else asdict(one.setup) for one in self.use_cases}
        return hashlib.sha256(rfc8785.dumps(setups)).hexdigest()

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        document: dict[str, Any] = asdict(self)
        document["use_cases"] = [_plain(one) for one in document["use_cases"]]
        return document

    def window_of(self, metric: Metric) -> Tally:
        """Return the events of all use cases in the window."""
        return added(one.window.get(metric, Tally()) for one in self.use_cases)

    def total_of(self, metric: Metric) -> Tally:
        """Return the events of all use cases since each one's evidence began."""
        return added(one.total.get(metric, Tally()) for one in self.use_cases)


def added(tallies: Iterable[Tally]) -> Tally:
    """Return the sum of tallies."""
    return sum(tallies, Tally())


def _plain(use_case: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in use_case.items()}
