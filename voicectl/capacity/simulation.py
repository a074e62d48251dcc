"""Many simulated calls on one host: how long each turn waits for its answer. Deterministic for a seed."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voicectl.capacity.caller import Caller, Heard, Stations
from voicectl.capacity.conversation import Conversation, Tuning
from voicectl.capacity.cores import Cores
from voicectl.capacity.ladder import Ladder
from voicectl.capacity.speeds import Speeds
from voicectl.capacity.stations import Bench, LlmStation, SttStation, TtsStation, TurnStation
from voicectl.capacity.timeline import Timeline

LOOK_AT_LOAD_S = 1.0
PATIENCE = 2.0
"""How many times as long as without any waiting a load is held until what is left counts as it stands."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a simulated load gave. `busy` is the part of each pool that was at work, the gateway included."""

    num_calls: int
    turns: tuple[Heard, ...]
    busy: dict[str, float]
    ladder_level: int

    def v2v_s(self) -> NDArray[np.float64]:
        """Return all voice-to-voice times, shape (n,)."""
        return np.array([turn.v2v_s for turn in self.turns])


@dataclass(frozen=True, slots=True)
class Load:
    """How a load is held: `num_calls` at once for about `turns_a_call` turns each, of which `warm_up` do not count.

    Calls start `stagger_s` apart, or anywhere in the first cycle. `others_cores` is what else takes of the cores.
    """

    num_calls: int
    turns_a_call: int = 12
    warm_up: int = 1
    stagger_s: float | None = None
    others_cores: float = 0.0


def simulate(speeds: Speeds, conversation: Conversation, tuning: Tuning, load: Load, seed: int) -> Outcome:
    """Hold a load and return what came of it."""
    rng = np.random.default_rng(seed)
    background = load.num_calls * speeds.session_cores + load.others_cores
    pools = {
        "cpu": Cores(speeds.cores, background=background, crowd_speed=speeds.crowd_speed),
        "gpu": Cores(1.0),
    }
    timeline = Timeline(pools)
    ladder = Ladder(dict(tuning.late_s) if tuning.overload else {})
    bench = Bench(
        timeline,
        speeds,
        tuning,
        _noise(rng, speeds.spread),
        lambda stage, seconds: ladder.note(timeline.now, stage, seconds),
    )
    stations = Stations(
        SttStation(bench),
        TurnStation(bench),
        LlmStation(bench, load.num_calls, conversation.context_tokens),
        TtsStation(bench),
    )
    turns: list[Heard] = []
    wanted = load.num_calls * load.turns_a_call
    cycle_s = conversation.cycle_s()
    callers = []
    for call in range(load.num_calls):
        caller = Caller(
            call,
            conversation,
            stations,
            timeline,
            first_turn=call * len(conversation.turns) // load.num_calls,
            tuning=tuning,
            lags=(speeds.hearing_s, speeds.sending_s),
            think=_think(rng, conversation),
            ladder=ladder,
            on_heard=turns.append,
        )
        begins_at = float(rng.uniform(0, cycle_s)) if load.stagger_s is None else call * load.stagger_s
        timeline.at(begins_at, caller.speak)
        callers.append(caller)

    def look() -> None:
        ladder.look(timeline.now)
        timeline.after(LOOK_AT_LOAD_S, look)

    look()
    timeline.run(PATIENCE * (load.turns_a_call + 1) * cycle_s, lambda: len(turns) >= wanted)
    if len(turns) < wanted:
        # An overloaded host: who still waits has waited at least so long.
        waits = [(call, one.waits_since) for call, one in enumerate(callers) if one.waits_since is not None]
        turns += [Heard(call, since, timeline.now - since) for call, since in waits]
    passed_s = max(timeline.now, 1e-9)
    busy = {
        "cpu": (pools["cpu"].busy_core_s / passed_s + min(background, speeds.cores)) / speeds.cores,
        "gpu": pools["gpu"].busy_core_s / passed_s,
    }
    counted = turns[load.num_calls * load.warm_up :] or turns
    return Outcome(load.num_calls, tuple(counted), busy, ladder.level)


def _noise(rng: np.random.Generator, spread: Mapping[str, float]) -> Callable[[str], float]:
    """Return what draws how much longer a piece of work takes than its mean: log-normal, with mean 1."""
    drawn = {stage: _normals(rng) for stage, sigma in spread.items() if sigma > 0}

    def factor(stage: str) -> float:
        if stage not in drawn:
            return 1.0
        sigma = spread[stage]
        return math.exp(sigma * next(drawn[stage]) - sigma * sigma / 2)

    return factor


def _think(rng: np.random.Generator, conversation: Conversation) -> Callable[[], float]:
    low = conversation.think_s - conversation.think_spread_s
    high = conversation.think_s + conversation.think_spread_s
    return lambda: max(0.0, float(rng.uniform(low, high)))


def _normals(rng: np.random.Generator) -> Iterator[float]:
    # Drawn in blocks: one by one takes longer than the event it is for.
    while True:
        yield from rng.standard_normal(1024).tolist()
