"""From demand, promise and host to a whole plan. Pure: the same values give the same plan."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from voicectl.capacity.answer import Basis, Limit, Plan, Pool, Setting, Share
from voicectl.capacity.costs import CostInputs, Costs, costs_of
from voicectl.capacity.demand import Demand
from voicectl.capacity.erlang import Burst, burst, hosts_for
from voicectl.capacity.memory import SEQUENCE_CAP, SESSION_MB, MemoryMap, card_map, host_map, sessions_in_memory
from voicectl.capacity.prediction import Host, Prediction, Slo, knee
from voicectl.capacity.sheets import PriceSheet
from voicectl.capacity.speeds import window_of
from voicectl.capacity.whatif import Brain
from voicectl.core.profile import Profile

HEADROOM: Final = 0.7
"""Part of a resource that is planned with where nothing tells how late it gets beyond."""
FEW_CORES: Final = 4
"""On so few cores stages collide long before the cores are busy."""
IDLE: Final = 0.5
"""Use of cores and card below which more lanes would help."""
MOST_CACHE_TOKENS: Final = 262_144


@dataclass(frozen=True, slots=True)
class Place:
    """The host as its memory is counted. `vram_gb` is None without a card; `measured_gb` what processes were seen
    to take, by stage."""

    name: str
    memory_gb: float
    vram_gb: float | None
    measured_gb: Mapping[str, float] | None
    sizes_gb: Mapping[str, float]
    stt_card_gb: float


@dataclass(frozen=True, slots=True)
class Question:
    """All that a plan is made from."""

    demand: Demand
    slo: Slo
    blocking: float
    host: Host
    place: Place
    profile: Profile
    brain: Brain
    costs: CostInputs
    prices: PriceSheet
    basis: Basis
    basis_text: str
    notes: tuple[str, ...] = ()
    burst_factor: float = 2.0
    burst_s: float = 300.0


def plan(question: Question) -> Plan:
    """Return the plan. A promise that cannot be kept gives one with 0 sessions, which says what can be had."""
    host, slo, demand = question.host, question.slo, question.demand
    memory_limits = _memory_limits(question)
    bound = min(limit.sessions for limit in memory_limits if limit.sessions is not None)
    found = knee(host, slo, most=max(1, bound))
    limits = (_slo_limit(found.calls, found.at_cap, question), *memory_limits)
    sessions = min(found.calls, bound)
    limiting = min(limits, key=lambda limit: math.inf if limit.sessions is None else limit.sessions)
    by_promise = limiting is limits[0]
    shares = session_shares(question)
    fleet = _fleet(question, sessions) if sessions else _Fleet()
    full = host.predict(max(1, sessions), slo=slo)
    lanes_bind = by_promise and sessions > 0 and host.speeds.cores > FEW_CORES
    return Plan(
        basis=question.basis,
        basis_text=question.basis_text,
        profile=question.profile.name,
        hardware=question.place.name,
        slo=str(slo),
        notes=(*question.notes, *_idle_note(full.busy, lanes_bind)),
        sessions=sessions,
        knee=found,
        limiting=f"{limiting.name}: {_heaviest(shares)}" if by_promise else limiting.name,
        limits=limits,
        shares=shares,
        peak_start=demand.peak_start,
        peak_calls=demand.peak_calls,
        peak_erlangs=demand.peak_erlangs,
        blocking_target=question.blocking,
        pools=fleet.pools,
        hosts=fleet.hosts,
        hosts_with_loss=fleet.hosts_with_loss,
        burst=fleet.burst,
        card=_card(question, max(1, sessions)),
        ram=_ram(question, max(1, sessions)),
        at_full=full,
        at_peak=fleet.at_peak,
        costs=fleet.costs,
        settings=_settings(question, sessions) if sessions else (),
    )


@dataclass(frozen=True, slots=True)
class _Fleet:
    """What depends on the number of hosts; nothing without any session."""

    pools: tuple[Pool, ...] = ()
    hosts: int | None = None
    hosts_with_loss: int | None = None
    burst: Burst | None = None
    at_peak: Prediction | None = None
    costs: Costs | None = None


def _fleet(question: Question, sessions: int) -> _Fleet:
    """Return the hosts for the demand, what a burst does to them, latency at the peak, and costs."""
    demand, overload = question.demand, question.profile.overload
    pools = tuple(
        Pool(language, share, hosts_for(demand.peak_erlangs * share, sessions, question.blocking))
        for language, share in demand.languages.items()
    )
    with_loss = sum(pool.hosts.hosts_with_loss for pool in pools)
    lines = with_loss * sessions
    at_peak = max(1, min(sessions, round(demand.peak_erlangs / with_loss)))
    mean_erlangs = sum(demand.calls) / len(demand.calls) * demand.handle_s / 3600
    return _Fleet(
        pools=pools,
        hosts=sum(pool.hosts.hosts for pool in pools),
        hosts_with_loss=with_loss,
        burst=burst(
            demand.peak_erlangs,
            demand.handle_s,
            lines,
            factor=question.burst_factor,
            lasting_s=question.burst_s,
            waiting=overload.waiting_sessions * with_loss,
            waiting_s=overload.waiting_s or 1.0,
        ),
        at_peak=question.host.predict(at_peak, slo=question.slo),
        costs=costs_of(with_loss, demand.minutes_a_month, mean_erlangs / lines, question.costs, question.prices),
    )


def _idle_note(busy: Mapping[str, float], lanes_bind: bool) -> tuple[str, ...]:
    """Say where queues before lanes make calls wait while cores and card have time."""
    if not lanes_bind or max(busy.values()) > IDLE:
        return ()
    shown = ", ".join(f"{pool} {part:.0%}" for pool, part in busy.items() if part > 0)
    return (f"the hardware is idle ({shown} busy): lanes bound it; try more, for example --set tts.parallel=8",)


def _slo_limit(calls: int, at_cap: bool, question: Question) -> Limit:
    words = "not reached within the other limits" if at_cap else f"highest load with {question.slo}"
    return Limit("promise", None if at_cap else calls, words)


def _memory_limits(question: Question) -> tuple[Limit, ...]:
    place, brain, speeds = question.place, question.brain, question.host.speeds
    limits = [
        Limit("sequences", SEQUENCE_CAP, "llama.cpp holds 256 sequences, one of them the shared prefix"),
        Limit(
            "gateway",
            max(1, int(HEADROOM / speeds.session_cores)) if speeds.session_cores > 0 else None,
            f"one process, {speeds.session_cores:.4f} cores a call, {HEADROOM:.0%} of a core",
        ),
        Limit("host memory", _sessions_in_ram(question), f"{place.memory_gb:.0f} GB"),
    ]
    if place.vram_gb is not None:
        fit = sessions_in_memory(
            vram_gb=place.vram_gb,
            weights_gb=brain.weights_gb,
            stt_gb=place.stt_card_gb,
            kv_bytes=brain.kv_token_bytes,
            context_tokens=brain.context_tokens,
        )
        words = f"contexts of {brain.context_tokens} tokens, {brain.kv_token_bytes / 1024:.0f} KiB a token"
        limits.append(Limit("card memory", fit, words))
    return tuple(limits)


def _sessions_in_ram(question: Question) -> int:
    ram = _ram(question, 0)
    return max(0, int((ram.total_gb - ram.used_gb) * 1000 / SESSION_MB))


def session_shares(question: Question) -> tuple[Share, ...]:
    """Return what a live session takes of cores and card by stage, alone: partials included, batching not."""
    host, speeds, tuning = question.host, question.host.speeds, question.host.tuning
    conversation = host.conversation
    cycle_s = conversation.cycle_s()
    work = dict.fromkeys(("stt", "turn", "llm", "tts"), 0.0)
    for turn in conversation.turns:
        hearings = [pause.at_s for pause in turn.pauses if pause.length_s > tuning.hesitation_s] + [turn.speech_s]
        num_partials = int(turn.speech_s / tuning.partial_interval_s)
        heard = hearings + [tuning.partial_interval_s * (index + 1) for index in range(num_partials)]
        work["stt"] += sum(speeds.stt(window_of(one, tuning.stt_windows), one) for one in heard)
        work["turn"] += speeds.turn_s * len(hearings)
        steps = math.ceil(turn.prompt_tokens / tuning.prefill_tokens)
        work["llm"] += speeds.prefill_s * (steps - 1)
        work["llm"] += speeds.prefill(turn.prompt_tokens, conversation.context_tokens)
        work["llm"] += speeds.decode(1, conversation.context_tokens) * turn.reply_tokens
        for clause_s in turn.clauses_s:
            chunks = max(1, math.ceil(clause_s / tuning.chunk_s))
            work["tts"] += speeds.front(clause_s) + chunks * speeds.chunk_s + speeds.chunk_audio_s * clause_s
    seconds = len(conversation.turns) * cycle_s
    shares = [
        Share(stage, speeds.place(stage), total * _threads(question, stage) / seconds) for stage, total in work.items()
    ]
    return (*shares, Share("gateway", "cpu", speeds.session_cores))


def _threads(question: Question, stage: str) -> int:
    """Return how many cores a stage holds while it works: threads that wait at barriers spin."""
    if question.host.speeds.place(stage) == "gpu":
        return 1
    kind = {"llm": "decode"}.get(stage, stage)
    return min(question.host.tuning.threads.get(kind, 1), question.host.speeds.cores)


def _heaviest(shares: tuple[Share, ...]) -> str:
    names = {"stt": "speech to text", "llm": "language model", "tts": "voice", "turn": "end of turn"}
    share = max(shares, key=lambda one: one.cores)
    return f"{names.get(share.stage, share.stage)} on the {'card' if share.place == 'gpu' else 'cores'}"


def _card(question: Question, sessions: int) -> MemoryMap | None:
    place, brain = question.place, question.brain
    if place.vram_gb is None:
        return None
    return card_map(
        vram_gb=place.vram_gb,
        weights_gb=brain.weights_gb,
        stt_gb=place.stt_card_gb,
        kv_bytes=brain.kv_token_bytes,
        cache_tokens=min(sessions * brain.context_tokens, MOST_CACHE_TOKENS),
    )


def _ram(question: Question, sessions: int) -> MemoryMap:
    place, profile, brain = question.place, question.profile, question.brain
    on_card = place.vram_gb is not None
    llm = profile.llm
    tokens = llm.cache_tokens or min(llm.hot_sessions * brain.context_tokens, MOST_CACHE_TOKENS)
    spares = {worker.spare for worker in profile.workers if not worker.fallback}
    return host_map(
        memory_gb=place.memory_gb,
        sizes_gb=dict(place.sizes_gb),
        cache_gb=0.0 if on_card else tokens * brain.kv_token_bytes / 1e9,
        parked_gb=llm.parked_mb / 1000,
        sessions=sessions,
        num_loaded=2 if "loaded" in spares else 1,
        measured_gb=dict(place.measured_gb or {}),
    )


def _settings(question: Question, sessions: int) -> tuple[Setting, ...]:
    profile, brain = question.profile, question.brain
    llm = profile.llm
    wanted: list[tuple[str, Any, Any, str]] = [
        ("server.max_sessions", profile.server.max_sessions, sessions, "calls at once that keep the promise"),
        ("llm.context_tokens", llm.context_tokens, brain.context_tokens, "tokens of one conversation"),
        ("llm.kv_type", llm.kv_type, "f16" if brain.element_bytes == 2 else "q8_0", "type of the cache"),
    ]
    if question.place.vram_gb is not None:
        tokens = min(sessions * brain.context_tokens, MOST_CACHE_TOKENS)
        wanted += [
            ("llm.hot_sessions", llm.hot_sessions, min(255, sessions), "all live calls in the cache"),
            ("llm.cache_tokens", llm.cache_tokens, tokens, "what the card has room for"),
        ]
    return tuple(Setting(*one) for one in wanted if one[1] != one[2])
