"""Counts what happens in calls. Keeps nothing that names a caller or says what was said."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from voicectl.core import events as ev
from voicectl.core.ports import CallIdentity
from voicectl.governance.alerts.metrics import LATENCY, LATENCY_EDGES_S
from voicectl.service.operations import stages

STAGE_EDGES_S: Final = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.8, 1.0, 1.5, 2.5, 5.0, 10.0)
REPLY_EDGES_TOKENS: Final = (4, 8, 16, 32, 64, 128, 256, 512)

OTHER: Final = "other"
MAX_LEARNED: Final = 24
MAX_LABEL: Final = 64

OUTCOMES: Final = (
    ("client closed", "client_left"),
    ("client is gone", "client_left"),
    ("client left", "client_left"),
    ("call ended", "completed"),
    ("everything is sent", "completed"),
    ("gateway is stopping", "stopping"),
    ("over another connection", "taken_over"),
    ("nothing received", "idle"),
    ("read nothing", "slow_reader"),
    ("key was revoked", "revoked"),
    ("maximum duration", "expired"),
    ("took no audio", "failed"),
    ("call failed", "failed"),
)
"""Words of the reasons for which calls end, and the outcome they count as."""


class Labels:
    """The values of one label: those known beforehand, and the first few that turn up. The rest is "other"."""

    def __init__(self, known: Collection[str] = (), *, max_learned: int = MAX_LEARNED) -> None:
        self._known = set(known)
        self._room = max_learned

    def value(self, value: str) -> str:
        """Return the value, or "other"."""
        if value in self._known:
            return value
        if self._room <= 0 or not value or len(value) > MAX_LABEL or not value.isascii() or not value.isprintable():
            return OTHER
        self._room -= 1
        self._known.add(value)
        return value


def outcome_of(reason: str) -> str:
    """Return what the end of a call counts as."""
    return next((outcome for words, outcome in OUTCOMES if words in reason), OTHER)


class CallMetrics:
    """A CallObserver. An event that is not counted costs a look into a table."""

    def __init__(self, registry: CollectorRegistry, *, tools: Collection[str] = ()) -> None:
        """`tools` are the functions whose names may be shown; calls of all others count as "other"."""
        self._tools = Labels(tools, max_learned=0)
        self._codes = Labels()
        self._reasons = Labels()
        self._live: set[tuple[str, float]] = set()
        self._count_calls(registry)
        self._count_replies(registry)
        self._count_trouble(registry)
        seconds = Histogram(
            "voicectl_stage_seconds", "Time of each stage of a turn.", ["stage"],
            buckets=STAGE_EDGES_S, registry=registry,
        )  # fmt: skip
        self._stage_seconds = {stage: seconds.labels(stage) for stage in stages.STAGES}
        self._takers: Mapping[type, Callable[[Any], None]] = {
            ev.ResponseEnded: self._take_reply,
            ev.TranscriptFinal: self._take_transcript,
            ev.TranscriptFailed: lambda _: self._errors("transcription_failed"),
            ev.SpeechDiscarded: lambda _: self._discarded.inc(),
            ev.ToolCalled: self._take_tool_call,
            ev.ActionRejected: lambda event: self._errors(event.code),
            ev.ServiceDegraded: self._take_degradation,
            ev.EscalationRequested: self._take_escalation,
        }

    def call_started(self, call: CallIdentity) -> None:
        """A call began."""
        key = (call.session_id, call.started_at)
        if key in self._live:
            return
        self._live.add(key)
        self._sessions.set(len(self._live))
        (self._resumed if call.resumed else self._fresh).inc()

    def call_event(self, call: CallIdentity, event: ev.CallEvent, at: float) -> None:
        """Something was told to the client."""
        taker = self._takers.get(type(event))
        if taker is not None:
            taker(event)

    def call_ended(self, call: CallIdentity, reason: str) -> None:
        """A call is over."""
        key = (call.session_id, call.started_at)
        if key not in self._live:
            return
        self._live.remove(key)
        self._sessions.set(len(self._live))
        self._ended.labels(outcome_of(reason)).inc()

    # --- what is counted -------------------------------------------------------------------------

    def _count_calls(self, registry: CollectorRegistry) -> None:
        self._sessions = Gauge("voicectl_sessions_live", "Calls in progress.", registry=registry)
        started = Counter(
            "voicectl_sessions_started_total", "Calls that began, new or taken up again.", ["kind"], registry=registry
        )
        self._fresh, self._resumed = started.labels("new"), started.labels("resumed")
        self._ended = Counter("voicectl_sessions_ended_total", "Calls that ended.", ["outcome"], registry=registry)
        for outcome in sorted({outcome for _, outcome in OUTCOMES}):
            self._ended.labels(outcome)

    def _count_replies(self, registry: CollectorRegistry) -> None:
        turns = Counter("voicectl_turns_total", "Replies that ended.", ["status"], registry=registry)
        self._turns = {status: turns.labels(status) for status in ("completed", "cancelled", "incomplete", "failed")}
        self._interruptions = Counter(
            "voicectl_interruptions_total", "Replies that the caller stopped by speaking.", registry=registry
        )
        self._eou = Histogram(
            "voicectl_eou_to_first_audio_seconds", "From the commit of a turn to the first audio sent.",
            buckets=LATENCY_EDGES_S, registry=registry,
        )  # fmt: skip
        self._answer = Histogram(
            LATENCY,
            "From the arrival of the last voiced audio to the first audio sent: v2v without the network.",
            buckets=LATENCY_EDGES_S, registry=registry,
        )  # fmt: skip
        tokens = Counter("voicectl_tokens_total", "Tokens of the language model.", ["kind"], registry=registry)
        self._prompt, self._cached = tokens.labels("prompt"), tokens.labels("cached")
        self._completion = tokens.labels("completion")
        self._reply_tokens = Histogram(
            "voicectl_reply_tokens", "Length of a reply.", buckets=REPLY_EDGES_TOKENS, registry=registry
        )
        self._speech_s = Counter(
            "voicectl_caller_speech_seconds_total", "Speech of callers that became a turn.", registry=registry
        )
        self._tool_calls = Counter(
            "voicectl_tool_calls_total", "Functions that replies called.", ["tool", "by"], registry=registry
        )

    def _count_trouble(self, registry: CollectorRegistry) -> None:
        self._discarded = Counter(
            "voicectl_speech_discarded_total", "What began as speech and was noise.", registry=registry
        )
        self._num_errors = Counter("voicectl_errors_total", "Errors told to clients.", ["code"], registry=registry)
        self._degradations = Counter(
            "voicectl_degradations_total", "Calls told that they get less than usual.", ["reason"], registry=registry
        )
        self._escalations = Counter(
            "voicectl_escalations_total", "Calls that a person should take.", ["reason"], registry=registry
        )

    # --- events ----------------------------------------------------------------------------------

    def _take_reply(self, event: ev.ResponseEnded) -> None:
        self._turns[event.status].inc()
        if event.reason == "turn_detected":
            self._interruptions.inc()
        usage = event.usage
        self._prompt.inc(usage.prompt_tokens)
        self._cached.inc(usage.cached_tokens)
        self._completion.inc(usage.completion_tokens)
        if usage.completion_tokens:
            self._reply_tokens.observe(usage.completion_tokens)
        if event.times is not None:
            self._take_times(event.times)

    def _take_times(self, times: ev.StageTimes) -> None:
        for interval in stages.intervals(times):
            self._stage_seconds[interval.stage].observe(interval.ended_at - interval.began_at)
        for seconds, histogram in (
            (stages.eou_to_first_audio_s(times), self._eou),
            (stages.answer_latency_s(times), self._answer),
        ):
            if seconds is not None:
                histogram.observe(seconds)

    def _take_transcript(self, event: ev.TranscriptFinal) -> None:
        self._speech_s.inc(event.duration_s)

    def _take_tool_call(self, event: ev.ToolCalled) -> None:
        by = "gateway" if event.by_gateway else "client"
        self._tool_calls.labels(self._tools.value(event.item.name or ""), by).inc()

    def _take_degradation(self, event: ev.ServiceDegraded) -> None:
        if event.level:
            self._degradations.labels(self._reasons.value(event.reason)).inc()

    def _take_escalation(self, event: ev.EscalationRequested) -> None:
        self._escalations.labels(self._reasons.value(event.reason)).inc()

    def _errors(self, code: str) -> None:
        self._num_errors.labels(self._codes.value(code)).inc()
