"""Runs that never took place: raw records and judged ones with known figures."""

import random
from dataclasses import replace

from voicectl.bench.run_record import (
    FORMAT,
    CallSample,
    Environment,
    GeneratorHealth,
    LoadPlan,
    RunRecord,
    TurnSample,
)
from voicectl.bench.summary import Distribution, Percentile, Proportion, RunSummary, SloOutcome, WarmUp

STAGE_SHARES = {"vad": 0.08, "endpointing": 0.4, "stt": 0.06, "llm": 0.22, "tts": 0.2, "playout": 0.01}

PLAN = LoadPlan(
    workload="short-faq",
    workload_digest="sha256:" + "ab" * 32,
    seed=7,
    arrivals="poisson",
    calls_per_minute=12.0,
    concurrency=None,
    burstiness=None,
    duration_s=60.0,
    answer_timeout_s=10.0,
)
ENVIRONMENT = Environment(
    voicectl="0.3.0",
    machine="bench-1",
    processor="Some CPU @ 2 GHz",
    cores=2,
    memory_bytes=8 * 2**30,
    target="ws://127.0.0.1:8080",
    private=True,
    server={"profile": "cpu", "stt": "faster-whisper-tiny.en"},
)


def answered(turn: int, at: float, v2v_s: float) -> TurnSample:
    stages: dict[str, float | None] = {stage: share * v2v_s for stage, share in STAGE_SHARES.items()}
    return TurnSample(
        turn=turn,
        name=f"question-{turn}",
        kind="speech",
        end="answered",
        intended_at=at,
        v2v_s=v2v_s,
        eou_to_first_audio_s=0.6 * v2v_s,
        stages_s={**stages, "transport": 0.002, "lead_in": None},
        reference="where is my parcel",
        transcript="where is my parcel",
        reply="It is on its way.",
    )


def timed_out(turn: int, at: float, censored_s: float = 10.0) -> TurnSample:
    return TurnSample(
        turn=turn,
        name=f"question-{turn}",
        kind="speech",
        end="timed-out",
        intended_at=at,
        censored_s=censored_s,
    )


def call(number: int, starts_at: float, turns: tuple[TurnSample, ...]) -> CallSample:
    last = max((turn.intended_at or 0.0 for turn in turns), default=starts_at)
    return CallSample(
        call=number,
        workload="short-faq",
        scheduled_at=starts_at,
        started_at=starts_at + 0.0004,
        connected_at=starts_at + 0.004,
        ended_at=last + 4.0,
        end="completed",
        turns=turns,
    )


def record(num_calls: int = 12, turns_a_call: int = 4, *, seed: int = 7, slower: float = 1.0) -> RunRecord:
    """Return a run of evenly spread calls whose v2v lies around 0.6 s times `slower`."""
    draw = random.Random(seed)
    calls = []
    for number in range(num_calls):
        starts_at = number * 60.0 / num_calls
        turns = tuple(
            answered(turn, starts_at + 3.0 + 6.0 * turn, slower * draw.lognormvariate(-0.55, 0.25))
            for turn in range(turns_a_call)
        )
        calls.append(call(number, starts_at, turns))
    lag_s = tuple(abs(draw.gauss(0, 0.0005)) for _ in range(500))
    health = GeneratorHealth(lag_s=lag_s, cpu_share=0.21, cores=2)
    wall_s = max((one.ended_at or 0.0 for one in calls), default=60.0)
    return RunRecord(FORMAT, "2026-11-26T20:00:00+00:00", wall_s, PLAN, ENVIRONMENT, health, tuple(calls))


def with_failures(run: RunRecord) -> RunRecord:
    """Return `run` with one turn that timed out, one call refused and one lost."""
    first, second, third, *rest = run.calls
    turns = (*first.turns[:-1], timed_out(first.turns[-1].turn, first.turns[-1].intended_at or 0.0))
    refusal = "http-refusal: 503 <b>busy</b>"
    return replace(
        run,
        calls=(
            replace(first, turns=turns),
            replace(second, end="refused", failure=refusal, turns=(), connected_at=None, started_at=None),
            replace(third, end="lost", failure="reset: by the server"),
            *rest,
        ),
    )


def percentile(share: float, value: float, spread: float = 0.05) -> Percentile:
    return Percentile(share, value, value * (1 - spread), value * (1 + spread), "order-statistics")


def distribution(metric: str, p50: float, p95: float, num: int = 48) -> Distribution:
    needs = Percentile(0.99, None, None, None, None, None, "needs 299 samples")
    percentiles = (percentile(0.5, p50), percentile(0.9, (p50 + p95) / 2), percentile(0.95, p95), needs)
    return Distribution(metric, num, 1, 31.4, p50 * 1.05, p95 * 1.4, percentiles)


def summary(*, slos: tuple[SloOutcome, ...] = ()) -> RunSummary:
    stages = tuple(distribution(stage, 0.6 * share, share) for stage, share in STAGE_SHARES.items())
    return RunSummary(
        verdict="VALID",
        reasons=(),
        distributions=(distribution("v2v", 0.6, 0.92), distribution("eou_to_first_audio", 0.36, 0.55), *stages),
        proportions=(
            Proportion("answered", 47, 48, 0.979, 0.891, 0.996),
            Proportion("cut-in", 0, 4, None, None, None),
        ),
        wer=0.043,
        goodput_per_minute=44.2,
        offered_calls_per_minute=12.0,
        achieved_calls_per_minute=11.6,
        peak_concurrency=6,
        warm_up=WarmUp("mser-5", 7.5, 6, True),
        lag_p99_s=0.0012,
        cpu_share=0.21,
        slos=slos,
    )


def invalid(run: RunSummary, *reasons: str) -> RunSummary:
    return replace(run, verdict="INVALID", reasons=reasons or ("schedule lag P99 is 31 ms, above 10 ms",))


MET = SloOutcome("v2v_p50<800ms", 0.6, True, "P50 is at most 630 ms")
BREACHED = SloOutcome("v2v_p95<800ms", 0.92, False, "P95 is at least 874 ms")
UNKNOWN = SloOutcome("v2v_p99<2s", None, None, "needs 299 samples, has 48")
