"""Which spans a reply and a function call become. Pure: events in, plans of spans out."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from voicectl.core import events as ev
from voicectl.core.sections.hardware import Models
from voicectl.service.operations import stages
from voicectl.service.operations import trace_names as names

Value = str | bool | int | float | tuple[str, ...]
Attributes = dict[str, Value]

_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_FINISHES: Final = {"completed": "stop", "incomplete": "length", "cancelled": "cancelled", "failed": "error"}


@dataclass(frozen=True, slots=True)
class SpanPlan:
    """One span and those below it. Instants are seconds on the session clock; `error` is None if all went well."""

    name: str
    began_at: float
    ended_at: float
    attributes: Mapping[str, Value] = field(default_factory=dict)
    error: str | None = None
    children: tuple["SpanPlan", ...] = ()

    def __len__(self) -> int:
        return 1 + sum(len(child) for child in self.children)


@dataclass(frozen=True, slots=True)
class ToolRun:
    """A function call, from the reply that made it to its output. `output` None means that none came."""

    name: str
    call_id: str
    response_id: str
    began_at: float
    ended_at: float
    by_gateway: bool
    arguments: str
    output: str | None


@dataclass(frozen=True, slots=True)
class Planner:
    """What all plans of a gateway have in common. With `content`, spans hold what was said."""

    models: Models
    agent: str
    content: bool = False

    def turn(
        self, reply: ev.ResponseEnded, at: float, *, session_id: str, began_at: float, heard: str, tools: list[ToolRun]
    ) -> SpanPlan:
        """Return the spans of a reply that ended at `at`.

        It began with the end of the caller's speech, or at `began_at` when nobody spoke before it.
        """
        times = reply.times or ev.StageTimes()
        children = (*self._parts(reply, times, at, heard), *(self.tool(run) for run in tools))
        began = min([began_at, *(child.began_at for child in children)])
        failed = reply.status == "failed"
        attributes: Attributes = {
            names.OPERATION: names.OPERATION_AGENT,
            names.PROVIDER: names.PROVIDER_VALUE,
            names.AGENT: self.agent,
            names.CONVERSATION_ID: session_id,
            names.RESPONSE_ID: reply.response_id,
            names.OUTPUT_TYPE: "speech" if reply.modality == "audio" else "text",
            names.STATUS: reply.status,
            names.INTERRUPTED: reply.reason == "turn_detected",
        }
        reason = self._shown(reply.reason)
        if reason is not None:
            attributes[names.REASON] = reason
        if failed:
            attributes[names.ERROR_TYPE] = "reply_failed"
        _note(attributes, names.EOU_TO_FIRST_AUDIO_S, stages.eou_to_first_audio_s(times))
        _note(attributes, names.ANSWER_LATENCY_S, stages.answer_latency_s(times))
        error = (reason or "the reply failed") if failed else None
        return SpanPlan(names.TURN, began, at, attributes, error, children)

    def tool(self, run: ToolRun) -> SpanPlan:
        """Return the span of a function call."""
        attributes: Attributes = {
            names.OPERATION: names.OPERATION_TOOL,
            names.TOOL_NAME: run.name,
            names.TOOL_CALL_ID: run.call_id,
            names.TOOL_TYPE: names.TYPE_FUNCTION,
            names.TOOL_BY: "gateway" if run.by_gateway else "client",
        }
        if self.content:
            attributes[names.TOOL_ARGUMENTS] = run.arguments
            attributes[names.TOOL_OUTPUT] = run.output or ""
        error = "no output came" if run.output is None else None
        return SpanPlan(f"{names.EXECUTE_TOOL} {run.name}", run.began_at, run.ended_at, attributes, error)

    def _parts(self, reply: ev.ResponseEnded, times: ev.StageTimes, at: float, heard: str) -> Iterator[SpanPlan]:
        took = {interval.stage: interval for interval in stages.intervals(times)}
        if stages.ENDPOINTING in took:
            waited = took[stages.ENDPOINTING]
            attributes: Attributes = {}
            _note(attributes, names.LEAD_S, _between(times.transcribed_at, times.committed_at))
            yield SpanPlan(names.ENDPOINTING, waited.began_at, waited.ended_at, attributes)
        if stages.STT in took:
            yield _stage(names.STT, took[stages.STT], {names.REQUEST_MODEL: self.models.stt})
        if stages.FIRST_WORDS in took:
            first = took[stages.FIRST_WORDS]
            # When the last token came is not told: the span shows what the caller waits for.
            ended_at = took.get(stages.FIRST_CLAUSE, first).ended_at
            yield SpanPlan(
                f"{names.CHAT} {self.models.llm}", first.began_at, ended_at, self._chat(reply, first.seconds, heard)
            )
        if stages.FIRST_AUDIO in took:
            yield _stage(names.TTS, took[stages.FIRST_AUDIO], {names.REQUEST_MODEL: self.models.tts})
        if times.first_sent_at is not None and times.first_sent_at <= at:
            yield SpanPlan(names.PLAYOUT, times.first_sent_at, at)

    def _chat(self, reply: ev.ResponseEnded, first_token_s: float, heard: str) -> Attributes:
        finish = _FINISHES[reply.status]
        attributes: Attributes = {
            names.OPERATION: names.OPERATION_CHAT,
            names.PROVIDER: names.PROVIDER_VALUE,
            names.REQUEST_MODEL: self.models.llm,
            names.FINISH_REASONS: (finish,),
            names.INPUT_TOKENS: reply.usage.prompt_tokens,
            names.OUTPUT_TOKENS: reply.usage.completion_tokens,
            names.CACHED_TOKENS: reply.usage.cached_tokens,
            names.FIRST_TOKEN_S: first_token_s,
        }
        if self.content:
            attributes[names.INPUT_MESSAGES] = _messages("user", heard)
            attributes[names.OUTPUT_MESSAGES] = _messages("assistant", reply.text, finish_reason=finish)
        return attributes

    def _shown(self, reason: str | None) -> str | None:
        """Return a reason if it is a code: the message of a failure may quote what was said."""
        return reason if reason is not None and (self.content or _CODE.fullmatch(reason)) else None


def _stage(name: str, interval: stages.Interval, attributes: Attributes) -> SpanPlan:
    return SpanPlan(name, interval.began_at, interval.ended_at, {names.PROVIDER: names.PROVIDER_VALUE, **attributes})


def _messages(role: str, text: str, **more: str) -> str:
    message = {"role": role, "parts": [{"type": "text", "content": text}], **more}
    return msgspec.json.encode([message]).decode()


def _note(attributes: Attributes, name: str, value: float | None) -> None:
    if value is not None:
        attributes[name] = value


def _between(began_at: float | None, ended_at: float | None) -> float | None:
    return None if began_at is None or ended_at is None else ended_at - began_at
