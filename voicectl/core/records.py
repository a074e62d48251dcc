"""A call as governance keeps it: one row a call, a few a turn. Knows no database and no policy.

Instants (`…_at`) are seconds since the epoch, UTC. None means unknown or did not happen, never 0.
Texts in a record are redacted before the record is made.
"""

from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

Tier = Literal["low", "medium", "high"]
EndReason = Literal["caller-hung-up", "agent-ended", "transferred", "failed", "drained", "lost"]
TransferResult = Literal["succeeded", "failed", "abandoned"]
ResolvedBy = Literal["proof", "judge", "human"]
ReferenceKind = Literal["probe", "human"]
ScoreState = Literal["pending", "scored", "failed"]
SCORE_STATES: Final[tuple[ScoreState, ...]] = get_args(ScoreState)


@dataclass(frozen=True, slots=True)
class GovernanceEvent:
    """One thing that happened in a call, as it is appended. `body` is JSON, already redacted.

    Of one call, `sequence` counts from 0 without gaps. Where a call is taken up again it goes on behind a
    leap, with an event of kind "call_resumed".
    """

    call_id: str
    sequence: int
    at: float
    kind: str
    body: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TurnRow:
    """One turn. Instants are seconds on the session's clock, by the server's own account."""

    call_id: str
    turn: int
    last_voiced_at: float | None = None
    committed_at: float | None = None
    transcribed_at: float | None = None
    first_token_at: float | None = None
    first_clause_at: float | None = None
    first_audio_at: float | None = None
    first_sent_at: float | None = None
    v2v_s: float | None = None
    interrupted: bool = False
    transcript: str | None = None
    reply: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    wer_substitutions: int | None = None
    wer_deletions: int | None = None
    wer_insertions: int | None = None
    wer_words: int | None = None
    reference_kind: ReferenceKind | None = None
    normaliser: str | None = None


@dataclass(frozen=True, slots=True)
class CallRow:
    """One call, folded from its events, imports and scores.

    `incomplete` calls miss events that could not be kept. `texts_pruned_at` is when retention took the words
    of the call away: from then on it can no longer be scored.
    """

    call_id: str
    use_case: str
    tier: Tier
    started_at: float
    tenant: str = ""
    trace_id: str | None = None
    agent_name: str | None = None
    policy_digest: str | None = None
    config_digest: str | None = None
    model_digest: str | None = None
    prompt_digest: str | None = None
    direction: Literal["inbound", "outbound"] = "inbound"
    answered_at: float | None = None
    ended_at: float | None = None
    end_reason: EndReason | None = None
    caller_key: str | None = None
    abandoned: bool | None = None
    probe: bool = False
    num_turns: int = 0
    resolved: bool | None = None
    resolved_by: ResolvedBy | None = None
    escalated: bool | None = None
    escalation_trigger: str | None = None
    escalation_appropriate: bool | None = None
    num_misunderstandings: int | None = None
    confidence: float | None = None
    transfer_attempted: bool | None = None
    transfer_payload_digest: str | None = None
    transfer_complete: bool | None = None
    screen_pop_at: float | None = None
    human_answer_at: float | None = None
    dead_air_s: float | None = None
    transfer_result: TransferResult | None = None
    consent_id: str | None = None
    consent_at: float | None = None
    consent_ip: str | None = None
    consent_text_hash: str | None = None
    consent_revoked_at: float | None = None
    dnc_checked_at: float | None = None
    dnc_list_version: str | None = None
    dnc_listed: bool | None = None
    time_zones: str | None = None
    window_verdict: Literal["allowed", "blocked", "unknown"] | None = None
    disclosure_s: float | None = None
    opted_out: bool | None = None
    dtmf_paused: bool | None = None
    num_redactions: int | None = None
    baa_complete: bool | None = None
    compliance_flagged: bool | None = None
    sentiment: float | None = None
    score_state: ScoreState = "pending"
    scored_at: float | None = None
    judge_digest: str | None = None
    rubric_version: str | None = None
    audio_s: float | None = None
    gpu_s: float | None = None
    handle_s: float | None = None
    csat: float | None = None
    cost: float | None = None
    deflected: bool | None = None
    incomplete: bool = False
    last_event_at: float | None = None
    texts_pruned_at: float | None = None


def contained(call: CallRow) -> bool | None:
    """Return whether the agent alone settled the call: answered, resolved, not transferred, not abandoned.

    None while it is unknown; once any part is known to fail it is False.
    """
    parts = (
        call.answered_at is not None,
        call.resolved,
        None if call.transfer_attempted is None else not call.transfer_attempted,
        None if call.abandoned is None else not call.abandoned,
    )
    if any(part is False for part in parts):
        return False
    return None if any(part is None for part in parts) else True


def warm(call: CallRow) -> bool | None:
    """Return whether an attempted transfer reached a person who had its context before; None while it is unknown."""
    failed = (
        call.transfer_result in ("failed", "abandoned"),
        call.transfer_complete is False,
        call.transfer_result == "succeeded" and call.transfer_payload_digest is None,
        call.screen_pop_at is not None
        and call.human_answer_at is not None
        and call.screen_pop_at > call.human_answer_at,
    )
    if any(failed):
        return False
    return True if call.transfer_result == "succeeded" and call.transfer_complete else None
