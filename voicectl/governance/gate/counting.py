"""Make tallies of calls that are given as arrays of numbers. Pure; knows neither database nor bars."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voicectl.governance.gate.evidence import Setup, Tally, UseCaseEvidence, added
from voicectl.governance.gate.facts import (
    OTHER_JUDGE,
    SAME_JUDGE,
    SIZES,
    UNKNOWN,
    VIOLATIONS,
    Newest,
    contained,
    facts_of,
    rests_on_judge,
)
from voicectl.governance.policy.schema import Metric

MICRO: Final = 1_000_000
DAY_S: Final = 86_400.0
_FACTS: Final = int(np.prod(list(SIZES.values()), dtype=np.int64))
WHEN: Final = ("since", "window", "last_day", "day_before", "matured", "matured_window")
"""What can be true of a call's place in time; the bits of a number, the first the lowest."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Spans:
    """The instants that divide calls, in seconds.

    `entered_at` has one for each use case, in their order. `matured` is the last end of an escalation that counts.
    """

    as_of: float
    settled: float
    window_s: float
    entered_at: tuple[float, ...]
    longest_call_s: float
    matured: float | None


@dataclass(frozen=True, slots=True)
class Counted:
    """What came of the rows."""

    use_cases: tuple[UseCaseEvidence, ...]
    structure: Mapping[str, int]
    violations: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Kind:
    """Calls that are alike in everything that counts."""

    use_case: int
    facts: Mapping[str, int]
    when: frozenset[str]
    number: int


def counted(
    started: Ints,
    ended: Ints,
    code: Ints,
    trace: Ints,
    *,
    use_cases: Sequence[str],
    newest: Mapping[str, Newest],
    spans: Spans,
) -> Counted:
    """Return the tallies of each use case, and how many calls break the rules that evidence has to keep.

    Calls from before the entry of their use case count for violations alone.
    """
    entered = started >= _each(spans.entered_at)[code // _FACTS]
    closed = (ended >= 0) & (ended <= _micro(spans.settled))
    lost = ~((ended >= 0) & (ended <= _micro(spans.as_of))) & (started <= _micro(spans.as_of - spans.longest_call_s))
    violations, lost, closed = _violations(code[closed]), lost & entered, closed & entered
    started, ended, code, trace = started[closed], ended[closed], code[closed], trace[closed]
    since = _since(started, code, use_cases, spans.entered_at)
    kinds = list(_kinds(started, ended, code, [one for one, _ in since], spans))
    return Counted(
        tuple(
            _use_case(
                name,
                [kind for kind in kinds if kind.use_case == number],
                *since[number],
                entered_at=spans.entered_at[number],
                newest=newest.get(name),
            )
            for number, name in enumerate(use_cases)
        ),
        {**_structure(kinds), "never_ended": int(lost.sum()), "duplicated": _duplicated(started, ended, code, trace)},
        violations,
    )


def _violations(code: Ints) -> dict[str, int]:
    found = [(facts_of(value)[1], number) for value, number in zip(*_numbered(code), strict=True)]
    totals = {name: sum(number for facts, number in found if facts[name]) for name in VIOLATIONS}
    return {name: number for name, number in totals.items() if number}


def _since(
    started: Ints, code: Ints, use_cases: Sequence[str], entered_at: Sequence[float]
) -> list[tuple[float, bool]]:
    """Return from when on each use case was answered by what answers it now, and whether that was another before."""
    use_case = code // _FACTS
    same = np.isin(code % _FACTS, _codes_with("same_setup", code))
    found = []
    for number in range(len(use_cases)):
        own = use_case == number
        other = started[own & ~same]
        # The first call of the new setup starts after the last one of another.
        begin = entered_at[number]
        if other.size:
            begin = (int(other.max()) + 1) / MICRO
        elif own.any():
            begin = int(started[own].min()) / MICRO
        found.append((max(entered_at[number], begin), bool(other.size)))
    return found


def _codes_with(name: str, code: Ints) -> Ints:
    remainders = _distinct(code % _FACTS)
    return np.array([one for one in remainders.tolist() if facts_of(one)[1][name]], dtype=np.int64)


def _kinds(started: Ints, ended: Ints, code: Ints, since: Sequence[float], spans: Spans) -> Iterator[_Kind]:
    settled, use_case = _micro(spans.settled), code // _FACTS
    matured = np.zeros(ended.shape, dtype=bool) if spans.matured is None else ended <= _micro(spans.matured)
    conditions = (
        started >= _each(since)[use_case],
        ended > settled - _micro(spans.window_s),
        ended > settled - _micro(DAY_S),
        (ended > settled - _micro(2 * DAY_S)) & (ended <= settled - _micro(DAY_S)),
        matured,
        matured & (ended > _micro((spans.matured or 0.0) - spans.window_s)),
    )
    when = sum((condition.astype(np.int64) << bit for bit, condition in enumerate(conditions)), np.zeros_like(code))
    for value, number in zip(*_numbered(code * (1 << len(WHEN)) + when), strict=True):
        own, bits = divmod(value, 1 << len(WHEN))
        place, facts = facts_of(own)
        yield _Kind(place, facts, frozenset(name for bit, name in enumerate(WHEN) if bits >> bit & 1), number)


def _use_case(
    name: str, kinds: Sequence[_Kind], since: float, was_changed: bool, *, entered_at: float, newest: Newest | None
) -> UseCaseEvidence:
    current = [kind for kind in kinds if "since" in kind.when]
    window = [kind for kind in current if "window" in kind.when]
    matured = [kind for kind in current if "matured" in kind.when]
    matured_window = [kind for kind in matured if "matured_window" in kind.when]
    return UseCaseEvidence(
        use_case=name,
        since=since,
        entered_at=entered_at,
        setup=None if newest is None else Setup(newest.model, newest.prompt, newest.config),
        was_changed=was_changed,
        num_calls=_number(current),
        num_window_calls=_number(window),
        judges=() if newest is None or newest.judge is None else (newest.judge,),
        window=_tallies(window, matured_window),
        total=_tallies(current, matured),
        containment_24h=_containment(kind for kind in kinds if "last_day" in kind.when),
        containment_before=_containment(kind for kind in kinds if "day_before" in kind.when),
        flags_24h=_flags(kind for kind in kinds if "last_day" in kind.when),
    )


def _tallies(kinds: Sequence[_Kind], matured: Sequence[_Kind]) -> dict[Metric, Tally]:
    transfers = [kind for kind in kinds if kind.facts["attempted"] == 1]
    # Whether a call was escalated may be unknown; then it may have been, and its complaint is not known either.
    escalations = [kind for kind in matured if kind.facts["escalated"] != 0]
    return {
        "containment_rate": _containment(kinds),
        "compliance_flag_rate": _flags(kinds),
        "warm_transfer_success": added(_one(kind, kind.facts["warm"], judged=False) for kind in transfers),
        "escalation_to_complaint": added(
            _one(kind, UNKNOWN if kind.facts["escalated"] == UNKNOWN else 1 - kind.facts["complained"], judged=False)
            for kind in escalations
        ),
    }


def _containment(kinds: "Sequence[_Kind] | Iterator[_Kind]") -> Tally:
    return added(_one(kind, contained(kind.facts), judged=rests_on_judge(kind.facts)) for kind in kinds)


def _flags(kinds: "Sequence[_Kind] | Iterator[_Kind]") -> Tally:
    good = {0: 1, 1: 0, UNKNOWN: UNKNOWN}
    return added(_one(kind, good[kind.facts["flagged"]], judged=bool(kind.facts["judge"])) for kind in kinds)


def _one(kind: _Kind, good: int, *, judged: bool) -> Tally:
    # What a call with lost events hides may be just what went wrong.
    if good == UNKNOWN or (good and kind.facts["incomplete"]):
        return Tally(unknown=kind.number)
    by_judge = kind.number if judged else 0
    if good:
        return Tally(good=kind.number, judged=by_judge, judged_good=by_judge)
    return Tally(bad=kind.number, judged=by_judge)


def _structure(kinds: Sequence[_Kind]) -> dict[str, int]:
    # Evidence of an earlier setup is not used, so that only the current one has to be sound; the rest always.
    current = [kind for kind in kinds if "since" in kind.when]
    judges = {kind.facts["judge"] for kind in current} & {SAME_JUDGE, OTHER_JUDGE}
    return {
        "unscored": _number(kind for kind in current if not kind.facts["scored"]),
        "other_judge": _number(kind for kind in current if kind.facts["judge"] == OTHER_JUDGE) if judges else 0,
        "without_setup": _number(kind for kind in current if not kind.facts["setup_known"]),
        "other_tier": _number(kind for kind in kinds if not kind.facts["own_tier"]),
        "reversed_times": _number(kind for kind in kinds if kind.facts["reversed"]),
        "dtmf": _number(kind for kind in kinds if kind.facts["dtmf"]),
        "without_events": _number(kind for kind in kinds if not kind.facts["told"]),
    }


def _duplicated(started: Ints, ended: Ints, code: Ints, trace: Ints) -> int:
    """Return how many calls are there again: under the trace of another, or from and to the same microsecond."""
    traced = trace[trace != hash(None)]
    by_trace = traced.size - _distinct(traced).size
    # Start, end and use case in one number; overflow is meant. Two that differ share it once in many million runs.
    spans = _distinct(started * np.int64(6_364_136_223_846_793_005) + ended * np.int64(1_442_695_041) + code // _FACTS)
    return max(int(by_trace), int(started.size - spans.size))


def _distinct(values: Ints) -> Ints:
    """Return each value once, in order. On a million numbers sorting is ten times as fast as numpy's own way."""
    found = np.sort(values)
    return found[np.flatnonzero(np.diff(found, prepend=found[:1] - 1))]


def _numbered(values: Ints) -> tuple[list[int], list[int]]:
    """Return each value once, and how often it is there."""
    found, numbers = np.unique(values, return_counts=True)
    return found.tolist(), numbers.tolist()


def _number(kinds: "Sequence[_Kind] | Iterator[_Kind]") -> int:
    return sum(kind.number for kind in kinds)


def _each(instants: Sequence[float]) -> Ints:
    return np.array([_micro(one) for one in instants], dtype=np.int64)


def _micro(seconds: float) -> int:
    return round(seconds * MICRO)
