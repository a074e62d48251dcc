"""A tier with calls that deserve a promotion, as rows of a database in memory; and ways to spoil it."""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import StaticPool

from voicectl.governance.gate.attestations import Requirement
from voicectl.governance.gate.collect import collect
from voicectl.governance.gate.entries import Entry
from voicectl.governance.gate.evidence import Evidence
from voicectl.governance.gate.verdict import SignOffState, Verdict, decide
from voicectl.governance.policy.load import load_policy
from voicectl.governance.policy.schema import Policy
from voicectl.governance.recording import kinds
from voicectl.governance.store.tables import calls, complaints, events, imports, metadata, scores, turns, violations

NOW: Final = 1_800_000_000.0
DAY: Final = 86_400.0
USE_CASES: Final = ("password_reset", "order_status", "faq", "business_hours")
SIGNED: Final = SignOffState(signed=("voice_ai_owner: One", "compliance_officer: Two"))
HELD: Final = (Requirement("warm_transfer_path_verified", "entry", True, "somebody"),)
UNSET: Final = (
    "dtmf_paused", "baa_complete", "dnc_listed", "window_verdict", "consent_id", "consent_revoked_at"
)  # fmt: skip
NUM_LABELLED: Final = 120
Row = dict[str, Any]
_ENGINE: Final = create_engine("sqlite://", poolclass=StaticPool)
"""One database for all cases: its statements are compiled once."""


def digest(letter: str) -> str:
    return letter * 64


@dataclass
class GateCase:
    """Rows to be written. All of `per_day` calls of `days` days are good but for the shares given."""

    days: int = 10
    per_day: int = 60
    contained: float = 0.85
    flagged: float = 0.0
    escalated: float = 0.14
    seed: int = 1
    tier: str = "low"
    rows: list[Row] = field(default_factory=list)
    turns: list[Row] = field(default_factory=list)
    scores: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    complaints: list[Row] = field(default_factory=list)
    violations: list[Row] = field(default_factory=list)
    imported_at: float | None = NOW - 600

    def __post_init__(self) -> None:
        chance = random.Random(self.seed)
        num = self.days * self.per_day
        for number in range(num):
            self._call(number, NOW - 600 - (num - 1 - number) * DAY / self.per_day, chance)

    def _call(self, number: int, ended_at: float, chance: random.Random) -> None:
        call_id = f"call-{self.seed}-{number:05d}"
        escalated = chance.random() < self.escalated
        resolved = not escalated and chance.random() < self.contained / (1 - self.escalated)
        self.rows.append(
            {
                "call_id": call_id,
                "use_case": USE_CASES[number % len(USE_CASES)],
                "tier": self.tier,
                "started_at": ended_at - 90.0,
                "trace_id": f"{self.seed:08x}{number:024x}",
                "model_digest": digest("a"),
                "prompt_digest": digest("b"),
                "config_digest": digest("c"),
                "direction": "inbound",
                "answered_at": ended_at - 89.0,
                "ended_at": ended_at,
                "abandoned": False,
                "probe": False,
                "resolved": resolved,
                "resolved_by": "judge",
                "escalated": escalated,
                "transfer_attempted": escalated,
                "transfer_payload_digest": digest("d") if escalated else None,
                "transfer_complete": True if escalated else None,
                "screen_pop_at": ended_at - 5.0 if escalated else None,
                "human_answer_at": ended_at - 4.0 if escalated else None,
                "transfer_result": "succeeded" if escalated else None,
                "compliance_flagged": chance.random() < self.flagged,
                "score_state": "scored",
                "scored_at": ended_at + 60.0,
                "judge_digest": digest("f"),
                "incomplete": False,
                **dict.fromkeys(UNSET),
            }
        )
        self.events.append(started(call_id, ended_at - 90.0))
        self.turns.append(
            {
                "call_id": call_id,
                "turn": 1,
                "v2v_s": 0.4 + chance.random() * 0.2,
                "interrupted": False,
                "wer_substitutions": 0,
                "wer_deletions": 0,
                "wer_insertions": number % 2,
                "wer_words": 30,
                "reference_kind": "probe",
            }
        )
        for name in ("resolved", "compliance_flagged") if number < NUM_LABELLED else ():
            # Labelled calls, of both kinds, on which judge and human agree.
            self.label(call_id, name, judge=number % 3 == 0, human=number % 3 == 0)

    def label(self, call_id: str, name: str, *, judge: bool, human: bool) -> None:
        for source, value, by in (("judge", judge, digest("f")), ("human", human, None)):
            self.scores.append(
                {
                    "call_id": call_id,
                    "name": name,
                    "value": float(value),
                    "source": source,
                    "judge_digest": by,
                    "at": NOW - DAY,
                }
            )

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        metadata.create_all(_ENGINE)
        with _ENGINE.connect() as connection:
            write_rows(connection, self)
            yield connection
            connection.rollback()

    def evidence(
        self, *, policy: Policy | None = None, now: float = NOW, as_of: float | None = None,
        entered: Mapping[str, Entry] | None = None,
    ) -> Evidence:  # fmt: skip
        with self.connection() as connection:
            return collect(
                connection, policy or quiet_policy(), "low" if self.tier == "low" else "medium",
                as_of=now if as_of is None else as_of, now=now, entered=entered or {},
            )  # fmt: skip

    def verdict(self, **changes: Any) -> Verdict:
        policy = quiet_policy()
        settings: dict[str, Any] = {"audit_problem": None, "closed_below": (), "signoff": SIGNED, **changes}
        return decide(policy, "medium", ("appointment_scheduling",), self.evidence(), requirements=HELD, **settings)


def started(call_id: str, at: float) -> Row:
    """Return the first event of a call."""
    return {"call_id": call_id, "sequence": 0, "at": at, "kind": kinds.STARTED, "body": {}}


def write_rows(connection: Connection, case: GateCase) -> None:
    """Write the rows of a case into a database that has the tables."""
    for table, rows in (
        (calls, case.rows),
        (turns, case.turns),
        (scores, case.scores),
        (events, case.events),
        (complaints, case.complaints),
        (violations, case.violations),
    ):
        if rows:
            connection.execute(table.insert(), rows)
    if case.imported_at is not None:
        row = {"kind": "complaints", "sha256": digest("9"), "source": "x", "num_rows": 0, "at": case.imported_at}
        connection.execute(imports.insert(), [row])


@cache
def quiet_policy() -> Policy:
    """Return the packaged policy without the alert on a drop, which chance sets off one day in twenty."""
    policy = load_policy().policy
    kept = tuple(alert for alert in policy.alerts if alert.metric != "containment_drop")
    return policy.model_copy(update={"alerts": kept})


# --- ways to spoil it ------------------------------------------------------------------------

Spoiler = Callable[[GateCase, random.Random], None]


def _some(case: GateCase, chance: random.Random) -> list[Row]:
    return chance.sample(case.rows, chance.randint(max(1, len(case.rows) // 20), len(case.rows) // 2))


def lose_outcomes(case: GateCase, chance: random.Random) -> None:
    """The share of unknown outcomes is such that, as failures, they are short of the bar."""
    for row in chance.sample(case.rows, len(case.rows) * 2 // 5):
        row[chance.choice(["resolved", "abandoned", "transfer_attempted"])] = None


def lose_days(case: GateCase, chance: random.Random) -> None:
    hours = chance.uniform(2, 100)
    case.rows = [row for row in case.rows if row["ended_at"] < NOW - hours * 3600]
    _forget(case)


def lose_failures(case: GateCase, chance: random.Random) -> None:
    """Rows of calls that went wrong are removed; their events are still there."""
    bad = [row for row in case.rows if not row["resolved"]]
    gone = {row["call_id"] for row in chance.sample(bad, max(1, len(bad) // 2)) if row["ended_at"] < NOW - DAY}
    gone = gone or {case.rows.pop(0)["call_id"]}
    case.rows = [row for row in case.rows if row["call_id"] not in gone]
    _forget(case)
    case.events += [started(name, NOW - 3 * DAY) for name in gone]


def lose_ends(case: GateCase, chance: random.Random) -> None:
    for row in _old(case, chance):
        row["ended_at"] = None


def lose_scores(case: GateCase, chance: random.Random) -> None:
    for row in _old(case, chance):
        row["score_state"] = chance.choice(["pending", "failed"])


def lose_digests(case: GateCase, chance: random.Random) -> None:
    name = chance.choice(["model_digest", "prompt_digest", "config_digest"])
    for row in case.rows:
        row[name] = None


def duplicate(case: GateCase, chance: random.Random) -> None:
    good = [row for row in case.rows if row["resolved"]]
    for row in chance.sample(good, chance.randint(1, len(good) // 2)):
        _add_again(case, row)


def duplicate_later(case: GateCase, chance: random.Random) -> None:
    shift = chance.uniform(1, 5 * 3600)
    old = [row for row in case.rows if row["resolved"] and row["ended_at"] + shift < NOW - 3600]
    for row in chance.sample(old, chance.randint(1, len(old))):
        _add_again(case, row, shift)


def copy_rows(case: GateCase, chance: random.Random) -> None:
    """Rows of good calls are there again at other times, under no trace; the recorder saw no such call."""
    shift = chance.choice([-1, 1]) * chance.uniform(1, 5 * 3600)
    old = [row for row in case.rows if row["resolved"] and row["ended_at"] + shift < NOW - 3600]
    for row in chance.sample(old, chance.randint(1, len(old))):
        _add_again(case, row, shift)
        case.rows[-1]["trace_id"] = None
        case.events.pop()


def shift_to_future(case: GateCase, chance: random.Random) -> None:
    shift = chance.uniform(2, 1000) * 3600
    for row in chance.sample(case.rows[-60:], chance.randint(1, 60)):
        row["started_at"] += shift + DAY
        row["ended_at"] += shift + DAY


def shift_to_past(case: GateCase, chance: random.Random) -> None:
    for row in _some(case, chance):
        for name in ("started_at", "answered_at", "ended_at"):
            row[name] -= NOW - chance.uniform(0, 1e8)


def jump_clocks(case: GateCase, chance: random.Random) -> None:
    for row in _old(case, chance):
        row[chance.choice(["ended_at", "answered_at"])] = row["started_at"] - chance.uniform(1, 1000)


def go_stale(case: GateCase, chance: random.Random) -> None:
    shift = chance.uniform(3600, 30 * DAY)
    for row in case.rows:
        for name in ("started_at", "answered_at", "ended_at"):
            row[name] -= shift


def relabel_tier(case: GateCase, chance: random.Random) -> None:
    for row in _old(case, chance):
        row["tier"] = chance.choice(["medium", "high"])


def relabel_use_case(case: GateCase, chance: random.Random) -> None:
    """Calls that went wrong are said to be of a use case that the tier does not have."""
    bad = [row for row in case.rows if not row["resolved"]]
    for row in chance.sample(bad, chance.randint(1, len(bad))):
        row["use_case"] = chance.choice(["appointment_scheduling", "other", "chitchat"])


def call_them_probes(case: GateCase, chance: random.Random) -> None:
    """Failures are enough to fail; most of the successes are probes."""
    for row in case.rows:
        row["probe"] = row["resolved"] and chance.random() < 0.75


def judge_without_labels(case: GateCase, chance: random.Random) -> None:
    case.scores = []


def judge_by_another(case: GateCase, chance: random.Random) -> None:
    for row in _old(case, chance):
        row["judge_digest"] = digest("e")


def judge_kindly(case: GateCase, chance: random.Random) -> None:
    """The judge calls most failures successes, and the labels say so."""
    for row in case.rows:
        row["resolved"] = not row["escalated"]
    for score in case.scores:
        if score["source"] == "judge" and score["name"] == "resolved" and not score["value"] and chance.random() < 0.6:
            score["value"] = 1.0


def judge_some(case: GateCase, chance: random.Random) -> None:
    """The judge overlooks a fifth of what is good and decides a share alone; what is known to be good is too little."""
    for row in case.rows[NUM_LABELLED:]:
        case.label(row["call_id"], "resolved", judge=chance.random() < 0.8, human=True)
    for row in case.rows:
        row["resolved_by"] = chance.choice(["judge", "judge", "proof"])
    good = [row for row in case.rows if row["resolved"]]
    for row in chance.sample(good, round(len(case.rows) * chance.uniform(0.2, 0.25))):
        row["resolved"] = None


def judge_blindly(case: GateCase, chance: random.Random) -> None:
    """The judge overlooks what humans flag."""
    for score in case.scores:
        if score["source"] == "judge" and score["name"] == "compliance_flagged":
            score["value"] = float(chance.random() < 0.02)


def change_setup(case: GateCase, chance: random.Random) -> None:
    """The newest calls were answered by something else."""
    name = chance.choice(["model_digest", "prompt_digest", "config_digest"])
    for row in case.rows[-chance.randint(8, 60) :]:
        row[name] = digest("7")


def break_transfers(case: GateCase, chance: random.Random) -> None:
    for row in case.rows:
        if row["transfer_attempted"] and chance.random() < 0.4:
            name, value = chance.choice(
                [
                    ("transfer_result", "failed"),
                    ("transfer_result", None),
                    ("transfer_complete", None),
                    ("transfer_payload_digest", None),
                    ("human_answer_at", row["started_at"]),
                ]
            )
            row[name] = value


def touch_cards(case: GateCase, chance: random.Random) -> None:
    chance.choice(case.rows[:-10])["dtmf_paused"] = True


def report_violation(case: GateCase, chance: random.Random) -> None:
    kinds = quiet_policy().zero_tolerance
    use_case = chance.choice([*USE_CASES, None])
    case.violations.append(
        {"kind": chance.choice(kinds), "use_case": use_case, "at": NOW - chance.uniform(1, 30 * DAY)}
    )


def dial_unlawfully(case: GateCase, chance: random.Random) -> None:
    row = chance.choice(case.rows[:-10])
    lawful = {"dnc_listed": False, "window_verdict": "allowed", "consent_id": "c"}
    row |= {"direction": "outbound", **lawful}
    row |= chance.choice(
        [
            {"dnc_listed": True},
            {"window_verdict": "blocked"},
            {"window_verdict": None},
            {"consent_id": None},
            {"consent_revoked_at": row["started_at"] - 1},
        ]
    )


SPOILERS: Final[tuple[Spoiler, ...]] = (
    lose_outcomes, lose_days, lose_failures, lose_ends, lose_scores, lose_digests, duplicate, duplicate_later,
    copy_rows, shift_to_future, shift_to_past, jump_clocks, go_stale, relabel_tier, relabel_use_case,
    call_them_probes, judge_without_labels, judge_by_another, judge_kindly, judge_some, judge_blindly, change_setup,
    break_transfers, touch_cards, report_violation, dial_unlawfully,
)  # fmt: skip


def _old(case: GateCase, chance: random.Random) -> list[Row]:
    """Return some calls that are settled, and not those alone that keep the evidence fresh."""
    settled = [row for row in case.rows if row["ended_at"] < NOW - 5 * 3600]
    return chance.sample(settled, chance.randint(1, len(settled) // 2))


def _add_again(case: GateCase, row: Row, shift: float = 0.0) -> None:
    times = {name: row[name] + shift for name in ("started_at", "answered_at", "ended_at")}
    case.rows.append({**row, **times, "call_id": row["call_id"] + "-again"})
    case.events.append(started(case.rows[-1]["call_id"], times["started_at"]))


def _forget(case: GateCase) -> None:
    known = {row["call_id"] for row in case.rows}
    case.events = [row for row in case.events if row["call_id"] in known]
    case.turns = [row for row in case.turns if row["call_id"] in known]
    case.scores = [row for row in case.scores if row["call_id"] in known]
