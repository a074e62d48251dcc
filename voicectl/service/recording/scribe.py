"""Turns what observers saw into events that may be written: numbered, in order, redacted. Runs off the event loop."""

import hashlib
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from voicectl.core import events as ev
from voicectl.core.ports import CallIdentity, CallRedactor, Purpose, RedactedText, Redactor
from voicectl.core.records import EndReason, GovernanceEvent
from voicectl.governance.recording import kinds
from voicectl.governance.recording.compliance import STATED, Phrases, stated
from voicectl.governance.recording.transfers import told
from voicectl.governance.score.rubric import packaged_rubric
from voicectl.service.operations.call_metrics import outcome_of
from voicectl.service.recording.pseudonyms import id_hash

MAX_TEXT: Final = 32_768
MAX_REASON: Final = 64
MAX_VALUE: Final = 512
MAX_ID: Final = 128
LEAP_PER_MS: Final = 4096
"""Where a call is taken up again, its events are numbered from the milliseconds of that instant times this."""
MAX_REMEMBERED: Final = 10_000
MAX_TRANSFERS: Final = 64
"""Transfers of one call whose outcome is awaited."""
PROBE_ATTRIBUTE: Final = "probe"
END_REASONS: Final[Mapping[str, EndReason]] = {
    "client_left": "caller-hung-up",
    "completed": "agent-ended",
    "expired": "agent-ended",
    "taken_over": "caller-hung-up",
    "stopping": "drained",
    "idle": "lost",
    "slow_reader": "lost",
}
"""What the outcomes of calls that metrics count mean for a record; all others are failures."""
_TIMES: Final = (
    *("last_voiced_at", "hesitated_at", "transcribed_at", "first_token_at", "first_clause_at"),
    *("first_audio_at", "committed_at", "first_sent_at"),
)


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that an observer saw, as it was. `at` is seconds on the session clock."""

    call: CallIdentity
    event: "ev.CallEvent | Began | Ended"
    at: float


@dataclass(frozen=True, slots=True)
class Began:
    """The call began, or was taken up again. `trace_id` is None where it is not traced."""

    trace_id: str | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The call is over."""

    reason: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is the same for all calls of a gateway, and told of each.

    `caller_key` hashes what identifies a caller. `purpose` is that of calls that have none of their own.
    `policy_digest` is asked at the beginning of each call, on the recorder's thread.
    """

    purpose: Purpose
    agent_name: str
    config_digest: str
    model_digest: str
    prompt_digest: str
    policy_digest: Callable[[], str | None] = lambda: None
    caller_attribute: str = "caller"
    caller_key: Callable[[str], str] | None = None
    transfer_tools: Collection[str] = ()


_Written = list[tuple[str, dict[str, Any]]]
"""Kinds and bodies of events that have no number yet."""


@dataclass(slots=True)
class _Page:
    """What is remembered of a call that goes on."""

    next_sequence: int
    redactor: CallRedactor | None
    aside: set[str] = field(default_factory=set)
    disclosed: bool = False
    transfers: set[str] = field(default_factory=set)


class Scribe:
    """Writes events down. Without a redactor no words are kept at all. One thread at a time may use it."""

    def __init__(self, surroundings: Surroundings, redactor: Redactor | None) -> None:
        self._around = surroundings
        self._redactor = redactor
        self._phrases: Final = Phrases(packaged_rubric())
        self._pages: dict[str, _Page] = {}
        self._ended: dict[str, int] = {}
        self._masked_id: Final = id_hash(secrets.token_bytes(32))
        self._writers: Final[dict[type, Callable[[Noted, _Page, Any], _Written]]] = {
            Began: lambda _noted, _page, _event: [],
            Ended: self._end,
            ev.SettingsChanged: self._settings,
            ev.TranscriptFinal: self._transcript,
            ev.TranscriptFailed: lambda _noted, _page, event: [
                (kinds.NOT_TRANSCRIBED, {"item_id": self._item_id(event.item_id)})
            ],
            ev.ItemAdded: self._added,
            ev.ItemTruncated: self._truncated,
            ev.ResponseStarted: self._reply_started,
            ev.ResponseEnded: self._reply,
            ev.ToolCalled: self._tool,
            ev.EscalationRequested: self._escalation,
            ev.ServiceDegraded: self._degradation,
            ev.ActionRejected: lambda _noted, _page, event: [(kinds.REJECTED, {"code": _bounded(event.code, 64)})],
        }

    @property
    def live(self) -> tuple[str, ...]:
        """The calls that go on."""
        return tuple(self._pages)

    def write(self, noted: Noted) -> list[GovernanceEvent]:
        """Return the events that come of something; the first of a call says what the call is."""
        call = noted.call
        page = self._pages.get(call.session_id)
        written: _Written = []
        if page is None or isinstance(noted.event, Began):
            page = self._open(call)
            written.append((kinds.RESUMED if call.resumed else kinds.STARTED, self._opening(call, noted.event)))
        writer = self._writers.get(type(noted.event))
        if writer is not None:
            written += writer(noted, page, noted.event)
            written += self._revisions(page, () if page.redactor is None else page.redactor.revised())
        first, page.next_sequence = page.next_sequence, page.next_sequence + len(written)
        if isinstance(noted.event, Ended):
            self._close(call.session_id, page)
        at = call.started_at + noted.at
        return [
            GovernanceEvent(call.session_id, first + offset, at, kind, body)
            for offset, (kind, body) in enumerate(written)
        ]

    def confess(self, call: CallIdentity, count: int, at: float) -> GovernanceEvent:
        """Return the event that says that so many others of a call could not be kept, at `at` since the epoch.

        It says again what the call is: its beginning may be among them.
        """
        call_id = call.session_id
        page = self._pages.get(call_id)
        if page is not None:
            sequence = page.next_sequence
            page.next_sequence += 1
        else:
            sequence = self._ended.get(call_id, 0)
            self._remember(call_id, sequence + 1)
        return GovernanceEvent(call_id, sequence, at, kinds.EVENTS_LOST, {"count": count, **self._opening(call)})

    # --- calls -----------------------------------------------------------------------------------

    def _open(self, call: CallIdentity) -> _Page:
        earlier = self._pages.pop(call.session_id, None)
        sequence = self._ended.pop(call.session_id, 0) if earlier is None else earlier.next_sequence
        if call.resumed:
            # Another gateway, or this one before it was restarted, may have numbered further.
            sequence = max(sequence, int(call.started_at * 1000) * LEAP_PER_MS)
        page = _Page(sequence, None if self._redactor is None else self._redactor.open_call())
        self._pages[call.session_id] = page
        return page

    def _close(self, call_id: str, page: _Page) -> None:
        del self._pages[call_id]
        self._remember(call_id, page.next_sequence)

    def _remember(self, call_id: str, next_sequence: int) -> None:
        self._ended[call_id] = next_sequence
        if len(self._ended) > MAX_REMEMBERED:
            del self._ended[next(iter(self._ended))]

    def _opening(self, call: CallIdentity, event: object = None) -> dict[str, Any]:
        around = self._around
        purpose = call.purpose or around.purpose
        caller = call.attributes.get(around.caller_attribute)
        return {
            "use_case": purpose.use_case,
            "tier": purpose.tier,
            "started_at": call.started_at,
            "tenant": _bounded(call.owner or "", 64),
            "agent_name": _bounded(around.agent_name, 128),
            "policy_digest": around.policy_digest(),
            "config_digest": around.config_digest,
            "model_digest": around.model_digest,
            "prompt_digest": around.prompt_digest,
            "trace_id": event.trace_id if isinstance(event, Began) else None,
            "direction": "inbound",
            **self._stated(call.attributes),
            "caller_key": around.caller_key(caller) if caller and around.caller_key is not None else None,
            "probe": call.attributes.get(PROBE_ATTRIBUTE, "").lower() in ("1", "true", "yes"),
            kinds.ATTRIBUTES: self._attributes(call.attributes),
        }

    def _stated(self, attributes: Mapping[str, str]) -> dict[str, Any]:
        """Return what whoever dialled has checked; a caller's number that stands for an id is masked, not missing."""
        facts = stated(attributes)
        return facts | {
            name: self._told(facts[name], 64) for name in ("consent_id", "dnc_list_version") if name in facts
        }

    def _attributes(self, attributes: Mapping[str, str]) -> dict[str, Any]:
        """Return what the client said about its call, as it may be kept; its caller is kept as a hash alone."""
        if self._redactor is None:
            return {}
        kept = {}
        for name, value in attributes.items():
            if name != self._around.caller_attribute and name not in STATED:
                redacted = self._redactor.field(name, _bounded(value, len(value)))
                kept[self._told(name, 64)] = None if redacted is None else str(redacted)[:MAX_VALUE]
        return kept

    def _end(self, _noted: Noted, page: _Page, event: Ended) -> _Written:
        revised = self._revisions(page, () if page.redactor is None else page.redactor.close())
        ended = {
            "reason": self._told(event.reason, 128),
            "end_reason": END_REASONS.get(outcome_of(event.reason), "failed"),
            "transfers_known": bool(self._around.transfer_tools),
            **_counted(page),
        }
        return [*revised, (kinds.ENDED, ended)]

    def _settings(self, _noted: Noted, _page: _Page, event: ev.SettingsChanged) -> _Written:
        instructions = event.settings.instructions
        return [] if instructions is None else [(kinds.PROMPTED, {"prompt_digest": digest(instructions)})]

    # --- turns -----------------------------------------------------------------------------------

    def _transcript(self, _noted: Noted, page: _Page, event: ev.TranscriptFinal) -> _Written:
        said = self._words(page, event.item_id, event.text, "user")
        confidence = None if event.confidence is None else round(event.confidence, 3)
        heard = {"audio_s": round(event.duration_s, 3), "confidence": confidence}
        return [(kinds.CALLER_SAID, {**said, **heard})]

    def _added(self, _noted: Noted, page: _Page, event: ev.ItemAdded) -> _Written:
        item = event.item
        if item.kind == "function_call_output" and item.call_id in page.transfers:
            page.transfers.discard(item.call_id)
            found = told(item.text)
            return [(kinds.TRANSFER_TOLD, found)] if found else []
        if item.role != "user" or item.kind != "message" or item.modality != "text" or not item.complete:
            return []
        return [(kinds.CALLER_SAID, self._words(page, item.item_id, item.text, "user"))]

    def _truncated(self, _noted: Noted, page: _Page, event: ev.ItemTruncated) -> _Written:
        return [(kinds.REVISED, self._words(page, event.item_id, event.text, "assistant"))]

    def _reply_started(self, _noted: Noted, page: _Page, event: ev.ResponseStarted) -> _Written:
        if event.out_of_band:
            page.aside.add(event.response_id)
        return []

    def _reply(self, noted: Noted, page: _Page, event: ev.ResponseEnded) -> _Written:
        if event.response_id in page.aside:
            # Not said to the caller: the client asked for it beside the conversation.
            page.aside.discard(event.response_id)
            return []
        said = self._words(page, event.item_id, event.text, "assistant")
        times = event.times
        body = {
            **said,
            "status": event.status,
            "reason": None if event.reason is None else self._told(event.reason, MAX_REASON),
            "interrupted": event.status == "cancelled" and event.reason == "turn_detected",
            "prompt_tokens": event.usage.prompt_tokens,
            "cached_tokens": event.usage.cached_tokens,
            "completion_tokens": event.usage.completion_tokens,
            "times": None if times is None else {name: getattr(times, name) for name in _TIMES},
            "misunderstood": self._phrases.misunderstood(event.text),
        }
        if (disclosed_at := self._disclosed_at(noted, page, event)) is not None:
            body["disclosed_at"] = disclosed_at
        return [(kinds.REPLIED, body)]

    def _disclosed_at(self, noted: Noted, page: _Page, event: ev.ResponseEnded) -> float | None:
        """Return when a reply told the caller for the first time that a machine speaks, since the epoch."""
        if page.disclosed:
            return None
        began_at = None if event.times is None else event.times.first_sent_at
        if event.modality == "text":
            began_at = noted.at
        found = None if began_at is None else self._phrases.disclosed_at(event.text, began_at, noted.at)
        page.disclosed = found is not None
        return None if found is None else noted.call.started_at + found

    def _tool(self, _noted: Noted, page: _Page, event: ev.ToolCalled) -> _Written:
        name = event.item.name or ""
        body: dict[str, Any] = {"name": self._told(name, MAX_REASON), "by_gateway": event.by_gateway}
        body["transfers"] = name in self._around.transfer_tools
        if body["transfers"]:
            body["payload_digest"] = digest(event.item.text)
            if event.item.call_id is not None and len(page.transfers) < MAX_TRANSFERS:
                page.transfers.add(event.item.call_id)
        return [(kinds.TOOL_CALLED, body)]

    def _escalation(self, _noted: Noted, _page: _Page, event: ev.EscalationRequested) -> _Written:
        return [(kinds.ESCALATED, {"reason": self._told(event.reason, MAX_REASON)})]

    def _degradation(self, _noted: Noted, _page: _Page, event: ev.ServiceDegraded) -> _Written:
        measures = [_bounded(name, MAX_REASON) for name in event.measures]
        return [(kinds.DEGRADED, {"level": event.level, "measures": measures})]

    # --- words -----------------------------------------------------------------------------------

    def _words(self, page: _Page, item_id: str, text: str, speaker: ev.Role) -> dict[str, Any]:
        named = {"item_id": self._item_id(item_id)}
        if page.redactor is None:
            return {**named, kinds.WORDS: None}
        # Cut behind the redactor: in front of it, half a card number could be left at the end.
        redacted = page.redactor.add(item_id, _bounded(text, len(text)), speaker=speaker)
        return {**named, kinds.WORDS: redacted.text[:MAX_TEXT], **_counted(page)}

    def _item_id(self, item_id: str) -> str:
        """Return an id as it may be kept: clients choose theirs, and one that is redacted becomes a keyed digest.

        The same id becomes the same, so that a revision finds what it revises.
        """
        whole = _bounded(item_id, len(item_id))
        if self._redactor is not None and self._redactor.text(whole) == whole:
            return whole[:MAX_ID]
        return self._masked_id(whole)

    def _told(self, text: str, limit: int) -> str:
        """Return a text that is not part of the conversation, such as a reason: others wrote it, who may quote."""
        whole = _bounded(text, len(text))
        return (whole if self._redactor is None else self._redactor.text(whole))[:limit]

    def _revisions(self, page: _Page, texts: Collection[RedactedText]) -> _Written:
        return [
            (kinds.REVISED, {"item_id": self._item_id(text.key), kinds.WORDS: text.text[:MAX_TEXT], **_counted(page)})
            for text in texts
        ]


def digest(text: str) -> str:
    """Return the SHA-256 of a text, in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _counted(page: _Page) -> dict[str, Any]:
    return {} if page.redactor is None else {"num_redactions": sum(page.redactor.found.values())}


def _bounded(text: str, limit: int) -> str:
    """Return text that both databases can hold: bounded, without NUL and without halves of surrogate pairs."""
    return text[:limit].replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
