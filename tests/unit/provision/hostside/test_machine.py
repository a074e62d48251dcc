"""Tests of the way from one release to another, and back, with the program or the power cut at every step."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicectl.provision.hostside.activation import StepTaken, drive
from voicectl.provision.hostside.machine import Verdict, advance, begin, interrupted
from voicectl.provision.hostside.state import Attempt, Kind, Release, State, decode, encode

OLD, NEW = "1.0.0-aaaaaaaaaaaa", "1.1.0-bbbbbbbbbbbb"
NOW = "2026-01-02T03:04:05.000Z"


class PowerCut(Exception):
    """The program ended in the middle of something."""


def release(release_id: str, *, good: bool) -> Release:
    return Release(release_id, "good" if good else "staged", "1", 1, "", NOW, good_at=NOW if good else None)


def host(*, active: str | None, new_is_good: bool = False) -> State:
    state = State(active=active).with_release(release(NEW, good=new_is_good))
    return state if active is None else state.with_release(release(OLD, good=True))


@dataclass
class PaperHost:
    """A host on paper: link, running release and state on disk. `cut_after` counts down to the power cut."""

    state: bytes
    link: str | None
    running: str | None
    failing: frozenset[tuple[str, str | None]] = frozenset()
    cut_after: int | None = None
    taken: list[str] = field(default_factory=list)

    def save(self, state: State) -> None:
        self._tick()
        self.state = encode(state)
        self._tick()

    def note(self, event: str, **values: Any) -> None:
        self._tick()

    def take(self, attempt: Attempt) -> StepTaken:
        self._tick()
        self.taken.append(attempt.phase)
        release_id = attempt.origin if attempt.phase in ("back", "revive", "reprove") else attempt.target
        failed = (attempt.phase, release_id) in self.failing
        if attempt.phase in ("switch", "back") and not failed:
            self.link = release_id
        if attempt.phase in ("restart", "revive"):
            self.running = None if failed else self.link
        self._tick()
        return StepTaken(Verdict("it failed" if failed else None))

    def boot(self) -> None:
        self.running = None
        self.cut_after = None

    def _tick(self) -> None:
        if self.cut_after is not None:
            self.cut_after -= 1
            if self.cut_after < 0:
                raise PowerCut


def run(paper: PaperHost, state: State) -> State:
    return drive(state, paper, paper, lambda: NOW)[0]


def recover(paper: PaperHost, *, at_boot: bool) -> State:
    state = decode(paper.state)
    if state.attempt is not None:
        state = run(paper, interrupted(state, NOW, at_boot=at_boot, running=paper.running))
    if at_boot:
        paper.running = paper.link
    return state


def paper_of(state: State, **how: Any) -> PaperHost:
    return PaperHost(encode(state), state.active, state.active, **how)


def test_a_release_that_passes_both_gates_becomes_good() -> None:
    paper = paper_of(host(active=OLD))
    state = run(paper, begin(host(active=OLD), "activate", NEW, NOW))
    assert paper.taken == ["gate", "switch", "restart", "prove"]
    assert (state.active, state.previous, state.attempt) == (NEW, OLD, None)
    assert state.releases[NEW].status == "good"
    assert state.last is not None
    assert state.last.result == "good"


def test_a_release_refused_before_the_switch_leaves_the_service_alone() -> None:
    paper = paper_of(host(active=OLD), failing=frozenset({("gate", NEW)}))
    state = run(paper, begin(host(active=OLD), "activate", NEW, NOW))
    assert paper.taken == ["gate"]
    assert (state.active, state.releases[NEW].status, state.releases[NEW].reason) == (OLD, "failed", "it failed")


@pytest.mark.parametrize("phase", ["restart", "prove"])
def test_a_release_that_fails_behind_the_switch_is_taken_back(phase: str) -> None:
    paper = paper_of(host(active=OLD), failing=frozenset({(phase, NEW)}))
    state = run(paper, begin(host(active=OLD), "activate", NEW, NOW))
    assert paper.taken[-3:] == ["back", "revive", "reprove"]
    assert (state.active, paper.link, paper.running) == (OLD, OLD, OLD)
    assert state.last is not None
    assert (state.last.result, state.releases[NEW].status) == ("returned", "failed")


def test_a_failed_switch_does_not_restart_the_service() -> None:
    paper = paper_of(host(active=OLD), failing=frozenset({("switch", NEW)}))
    state = run(paper, begin(host(active=OLD), "activate", NEW, NOW))
    assert paper.taken == ["gate", "switch", "back"]
    assert state.last is not None
    assert state.last.result == "returned"


def test_the_first_release_that_fails_leaves_nothing_active() -> None:
    paper = paper_of(host(active=None), failing=frozenset({("prove", NEW)}))
    state = run(paper, begin(host(active=None), "activate", NEW, NOW))
    assert paper.taken[-2:] == ["back", "revive"]
    assert (state.active, paper.link, paper.running) == (None, None, None)


@pytest.mark.parametrize("phase", ["revive", "reprove"])
def test_an_old_release_that_fails_too_is_said_to_be_stranded(phase: str) -> None:
    paper = paper_of(host(active=OLD), failing=frozenset({("prove", NEW), (phase, OLD)}))
    state = run(paper, begin(host(active=OLD), "activate", NEW, NOW))
    assert state.last is not None
    assert (state.last.result, state.active, paper.link) == ("stranded", OLD, OLD)


def test_a_way_back_that_fails_is_kept_for_the_next_boot() -> None:
    paper = paper_of(host(active=OLD), failing=frozenset({("prove", NEW), ("back", OLD)}))
    state = run(paper, begin(host(active=OLD), "activate", NEW, NOW))
    assert state.attempt is not None
    assert paper.link == NEW
    paper.failing = frozenset()
    paper.boot()
    assert recover(paper, at_boot=True).attempt is None
    assert (paper.link, paper.running) == (OLD, OLD)


def test_a_rollback_goes_without_the_gate_before_the_switch() -> None:
    state = replace(host(active=OLD, new_is_good=True), previous=NEW)
    paper = paper_of(state)
    after = run(paper, begin(state, "rollback", NEW, NOW))
    assert paper.taken == ["switch", "restart", "prove"]
    assert (after.active, after.previous, after.releases[OLD].left_at) == (NEW, OLD, NOW)


def test_a_good_release_stays_good_when_it_fails_once_more() -> None:
    state = replace(host(active=OLD, new_is_good=True), previous=NEW)
    after = run(paper_of(state, failing=frozenset({("prove", NEW)})), begin(state, "rollback", NEW, NOW))
    assert after.last is not None
    assert (after.last.result, after.releases[NEW].status) == ("returned", "good")


def test_an_interrupted_release_was_not_judged() -> None:
    state = replace(host(active=OLD), attempt=Attempt("activate", NEW, OLD, "gate", NOW))
    after = interrupted(state, NOW, at_boot=False, running=OLD)
    assert (after.attempt, after.releases[NEW].status) == (None, "staged")


def test_a_release_that_failed_before_the_power_cut_stays_failed() -> None:
    attempt = Attempt("activate", NEW, OLD, "back", NOW, reason="it answered garbage")
    after = advance(
        interrupted(replace(host(active=OLD), attempt=attempt), NOW, at_boot=True, running=None), Verdict(), NOW
    )
    assert after.releases[NEW].status == "failed"
    assert after.last is not None
    assert after.last.reason == "it answered garbage"


@given(
    kind=st.sampled_from(["activate", "rollback", "restart"]),
    first=st.booleans(),
    failing=st.frozensets(st.tuples(st.sampled_from(["gate", "switch", "restart", "prove"]), st.just(NEW))),
    cuts=st.lists(st.tuples(st.integers(0, 40), st.booleans()), min_size=1, max_size=4),
)
@settings(max_examples=150, deadline=None)
def test_only_a_release_that_was_marked_good_is_left_active_wherever_it_is_cut_off(
    kind: Kind, first: bool, failing: frozenset[tuple[str, str | None]], cuts: list[tuple[int, bool]]
) -> None:
    start = host(active=None if first and kind == "activate" else OLD, new_is_good=kind == "rollback")
    target = OLD if kind == "restart" else NEW
    if kind == "restart":
        failing = frozenset((phase, OLD) for phase, _ in failing if phase == "gate")
    paper = paper_of(start, failing=failing, cut_after=cuts[0][0])
    at_boot = cuts[0][1]
    try:
        run(paper, begin(start, kind, target, NOW))
    except PowerCut:
        for cut_after, boots in [*cuts[1:], (10_000, at_boot)]:
            if boots:
                paper.boot()
            elif at_boot:
                # The recovery of a boot was killed, and the service started behind it nevertheless.
                paper.running = paper.link
            at_boot = boots
            paper.cut_after = cut_after
            try:
                recover(paper, at_boot=at_boot)
                break
            except PowerCut:
                continue
    state = decode(paper.state)
    assert state.attempt is None
    assert paper.link == state.active
    assert state.active is None or state.releases[state.active].good_at is not None
    assert state.active in (start.active, NEW)
    assert paper.running in (state.active, None if at_boot else state.active)


def test_a_state_survives_its_own_text() -> None:
    state = begin(host(active=OLD), "activate", NEW, NOW)
    state = replace(run(paper_of(state), state), taint=("unsigned",), configuration={"/etc/x": "1"})
    assert decode(encode(state)) == state
