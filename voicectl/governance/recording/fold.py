"""Folds the events of a call into its row and those of its turns. Pure: knows no database and no clock."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from voicectl.core.records import CallRow, GovernanceEvent, TurnRow
from voicectl.governance.recording import kinds
from voicectl.governance.recording.compliance import STATED
from voicectl.governance.recording.transfers import TOLD

_OPENING: Final = (
    "use_case",
    "tier",
    "started_at",
    "tenant",
    "trace_id",
    "agent_name",
    "policy_digest",
    "config_digest",
    "model_digest",
    "prompt_digest",
    "caller_key",
    "probe",
    *STATED,
)
"""What the first event of a call says about it, in the words of the row."""
_TIMES: Final = (
    "last_voiced_at",
    "committed_at",
    "transcribed_at",
    "first_token_at",
    "first_clause_at",
    "first_audio_at",
    "first_sent_at",
)
CORRECTED: Final = (
    *("abandoned", "escalated", "escalation_trigger", "transfer_attempted", "transfer_payload_digest"),
    *TOLD,
)
"""Columns that the fold decides until an import does, which outranks events from then on, late and later ones too.

A database remembers the columns of a call that imports set by their places in this list: append, never reorder.
"""
RECORDED: Final = (
    *_OPENING,
    *("answered_at", "ended_at", "end_reason", "num_turns", "confidence", "disclosure_s", "num_misunderstandings"),
    *("num_redactions", "audio_s", "handle_s", "incomplete", "last_event_at"),
    *CORRECTED,
)
"""Columns of a call that the fold decides. All others belong to imports and scores."""
RECORDED_TURN: Final = (
    *_TIMES,
    *("v2v_s", "interrupted", "transcript", "reply", "prompt_tokens", "completion_tokens"),
)
"""The same for a turn."""


@dataclass(slots=True)
class _Turn:
    """A turn that is being put together. Texts are kept by entry, since an entry may yet read differently."""

    number: int
    heard: dict[str, str] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    replied: bool = False

    def row(self, call_id: str) -> TurnRow:
        return TurnRow(call_id, self.number, transcript=_joined(self.heard), reply=_joined(self.said), **self.facts)


class CallFold:
    """One call so far. Take its events in order; those it took already change nothing."""

    def __init__(self, call_id: str) -> None:
        self.call_id: Final = call_id
        self.last_sequence = -1
        # Values, not a row: a row of so many columns is not made anew for each of them.
        self._values: dict[str, Any] = {}
        self._turns: list[_Turn] = []
        self._changed: dict[int, _Turn] = {}
        self._misunderstood_run = 0
        self._confidence: float | None = None
        self._unheard = False
        self._takers: Final[dict[str, Callable[[GovernanceEvent], None]]] = {
            kinds.STARTED: self._take_start,
            kinds.RESUMED: self._take_start,
            kinds.PROMPTED: self._take_prompt,
            kinds.CALLER_SAID: self._take_caller,
            kinds.NOT_TRANSCRIBED: self._take_unheard,
            kinds.REPLIED: self._take_reply,
            kinds.REVISED: self._take_revision,
            kinds.TOOL_CALLED: self._take_tool,
            kinds.TRANSFER_TOLD: self._take_transfer,
            kinds.ESCALATED: self._take_escalation,
            kinds.EVENTS_LOST: self._take_loss,
            kinds.ENDED: self._take_end,
        }

    @property
    def call(self) -> CallRow | None:
        """The row; None while nothing says what the call is."""
        return CallRow(self.call_id, **self._values) if self._values else None

    @property
    def has_row(self) -> bool:
        """Whether it is known what the call is."""
        return bool(self._values)

    def take(self, event: GovernanceEvent) -> None:
        """Fold one event on. A gap in the numbers marks the call as incomplete."""
        if event.sequence <= self.last_sequence:
            return
        complete = event.sequence == self.last_sequence + 1 or (
            # A call goes on behind a leap; but not one whose beginning nobody kept.
            event.kind == kinds.RESUMED and self.last_sequence >= 0
        )
        self.last_sequence = event.sequence
        taker = self._takers.get(event.kind)
        if taker is not None:
            taker(event)
        self._set(last_event_at=event.at)
        if not complete:
            self._set(incomplete=True)

    def turns(self) -> tuple[TurnRow, ...]:
        """Return all turns."""
        return tuple(turn.row(self.call_id) for turn in self._turns)

    def changed_turns(self) -> tuple[TurnRow, ...]:
        """Return the turns that changed since the last time this was asked."""
        changed, self._changed = self._changed, {}
        return tuple(turn.row(self.call_id) for turn in changed.values())

    # --- events ----------------------------------------------------------------------------------

    def _take_start(self, event: GovernanceEvent) -> None:
        if not self._values:
            self._begin(event)
        elif event.kind == kinds.RESUMED:
            # The caller is back: whatever ended before was the connection.
            self._set(ended_at=None, end_reason=None, abandoned=None, handle_s=None)

    def _take_loss(self, event: GovernanceEvent) -> None:
        if not self._values:
            self._begin(event)
        self._set(incomplete=True)

    def _begin(self, event: GovernanceEvent) -> None:
        opening = {name: event.body[name] for name in _OPENING if event.body.get(name) is not None}
        self._values = {**opening, "answered_at": opening["started_at"]}

    def _take_prompt(self, event: GovernanceEvent) -> None:
        # What the first reply was made from is what the call was led by.
        if not any(turn.replied for turn in self._turns):
            self._set(prompt_digest=event.body["prompt_digest"])

    def _take_unheard(self, _event: GovernanceEvent) -> None:
        self._unheard = True
        self._count_misunderstanding()

    def _take_caller(self, event: GovernanceEvent) -> None:
        self._unheard = False
        turn = self._open_turn()
        turn.heard[event.body["item_id"]] = event.body.get("text") or ""
        self._count_redactions(event)
        self._confidence = event.body.get("confidence")
        seconds = event.body.get("audio_s")
        if seconds is not None:
            self._set(audio_s=self._values.get("audio_s", 0.0) + seconds)

    def _take_reply(self, event: GovernanceEvent) -> None:
        body = event.body
        turn = self._open_turn()
        turn.replied = True
        turn.said[body["item_id"]] = body.get("text") or ""
        times = {name: body["times"].get(name) for name in _TIMES} if body.get("times") else {}
        turn.facts |= times
        turn.facts |= {
            "v2v_s": _between(times.get("last_voiced_at"), times.get("first_sent_at")),
            "interrupted": body.get("interrupted", False),
            "prompt_tokens": body.get("prompt_tokens"),
            "completion_tokens": body.get("completion_tokens"),
        }
        self._count_redactions(event)
        disclosed_at = body.get("disclosed_at")
        if disclosed_at is not None and self._values.get("disclosure_s") is None:
            self._set(disclosure_s=max(0.0, disclosed_at - self._values.get("started_at", disclosed_at)))
        self._judge_understanding(misunderstood=body.get("misunderstood", False))

    def _take_revision(self, event: GovernanceEvent) -> None:
        item_id, text = event.body["item_id"], event.body.get("text") or ""
        self._count_redactions(event)
        for turn in reversed(self._turns):
            for texts in (turn.heard, turn.said):
                if item_id in texts:
                    texts[item_id] = text
                    self._changed[turn.number] = turn
                    return

    def _take_tool(self, event: GovernanceEvent) -> None:
        if event.body.get("transfers"):
            trigger = f"function {event.body.get('name')}"[:64]
            self._set(transfer_attempted=True, escalated=True, **self._first_trigger(trigger))
            self._set(transfer_payload_digest=event.body.get("payload_digest"))
            if self._values.get("transfer_result") == "succeeded":
                # Whoever has to be transferred again did not stay where they were.
                self._set(transfer_result="failed")

    def _take_transfer(self, event: GovernanceEvent) -> None:
        self._set(**{name: event.body[name] for name in TOLD if event.body.get(name) is not None})

    def _take_escalation(self, event: GovernanceEvent) -> None:
        self._set(escalated=True, **self._first_trigger(event.body.get("reason")))

    def _first_trigger(self, trigger: str | None) -> dict[str, str | float | None]:
        if self._values.get("escalation_trigger"):
            return {}
        return {"escalation_trigger": trigger, "confidence": self._confidence}

    def _take_end(self, event: GovernanceEvent) -> None:
        if not self._values:
            return
        self._count_redactions(event)
        reason = event.body["end_reason"]
        heard_us = any(turn.facts.get("first_sent_at") is not None for turn in self._turns)
        transferred = self._values.get("transfer_attempted")
        transfers_known = event.body.get("transfers_known", False)
        self._set(
            ended_at=event.at,
            end_reason="transferred" if transferred and reason == "caller-hung-up" else reason,
            abandoned=reason in ("caller-hung-up", "lost") and not heard_us,
            handle_s=max(0.0, event.at - self._values["started_at"]),
            escalated=bool(self._values.get("escalated")),
            transfer_attempted=transferred or (False if transfers_known else None),
        )

    # --- plumbing --------------------------------------------------------------------------------

    def _open_turn(self) -> _Turn:
        """Return the turn that has no reply yet, a new one if there is none."""
        if not self._turns or self._turns[-1].replied:
            self._turns.append(_Turn(len(self._turns) + 1))
            self._set(num_turns=len(self._turns))
        turn = self._turns[-1]
        self._changed[turn.number] = turn
        return turn

    def _judge_understanding(self, *, misunderstood: bool) -> None:
        """Count a reply that asks again. One to a turn without a transcript belongs to what was counted there."""
        if self._unheard:
            return
        if misunderstood:
            self._count_misunderstanding()
        else:
            self._misunderstood_run = 0
            self._set(num_misunderstandings=self._values.get("num_misunderstandings", 0))

    def _count_misunderstanding(self) -> None:
        self._misunderstood_run += 1
        longest = max(self._misunderstood_run, self._values.get("num_misunderstandings", 0))
        self._set(num_misunderstandings=longest)

    def _count_redactions(self, event: GovernanceEvent) -> None:
        if (count := event.body.get("num_redactions")) is not None:
            self._set(num_redactions=count)

    def _set(self, **values: Any) -> None:
        if self._values:
            self._values.update(values)


def fold(call_id: str, events: Iterable[GovernanceEvent]) -> CallFold:
    """Return a call folded from all its events, in any order."""
    folded = CallFold(call_id)
    for event in sorted(events, key=lambda event: event.sequence):
        folded.take(event)
    return folded


def recorded(row: CallRow | TurnRow) -> Mapping[str, Any]:
    """Return the columns of a row that the fold decides, without its key."""
    names = RECORDED if isinstance(row, CallRow) else RECORDED_TURN
    return {name: getattr(row, name) for name in names}


def _joined(texts: Mapping[str, str]) -> str | None:
    return " ".join(text for text in texts.values() if text) if texts else None


def _between(start_at: float | None, end_at: float | None) -> float | None:
    return end_at - start_at if start_at is not None and end_at is not None else None
