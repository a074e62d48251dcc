"""Rules that decide hard facts of a finished call from its record and its words. No model takes part."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from voicectl.governance.score.conversation import Conversation, Said, Speaker
from voicectl.governance.score.rubric import Rubric

Category = Literal["compliance", "escalation", "quality", "gap"]
"""What a finding is about: a compliance flag, a human who had to take over, how it went, what was not known."""

MAX_SEARCHED: Final = 4_000
"""Characters of one party's words in a turn that are searched for phrases."""
MAX_SEARCHED_IN_ALL: Final = 200_000
"""Characters that are searched for one rule, some three hours of talk. More would keep a processor from calls."""
MAX_QUOTED: Final = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a rule found; `turn` is where, if it is in one place."""

    rule: str
    category: Category
    explanation: str
    turn: int | None = None


Rule = Callable[[Conversation, Rubric], Iterator[Finding]]


def findings(conversation: Conversation, rubric: Rubric) -> tuple[Finding, ...]:
    """Return what all rules find."""
    return tuple(finding for rule in RULES for finding in rule(conversation, rubric))


def matches(kind: str, said: Said, rubric: Rubric) -> bool:
    """Tell whether words contain a kind of phrase."""
    return rubric.matchers[kind].search(_plain(said.text)) is not None


def searched(conversation: Conversation, *speakers: Speaker) -> Iterator[Said]:
    """Yield what is searched of what the speakers said, in order: of a call that never ends its beginning."""
    room = MAX_SEARCHED_IN_ALL
    for said in conversation.said():
        if said.speaker in speakers and room > 0:
            text = _plain(said.text)
            room -= len(text)
            yield replace(said, text=text)


def human_requests(conversation: Conversation, rubric: Rubric) -> list[Said]:
    """Return where the caller asks for a human, in so many words."""
    return [said for said in searched(conversation, "caller") if matches("human_request", said, rubric)]


def misunderstandings_in_a_row(conversation: Conversation, rubric: Rubric) -> int:
    """Return the longest run of replies that say the agent did not understand, or what was counted in the call."""
    longest = run = 0
    for said in searched(conversation, "agent"):
        run = run + 1 if matches("misunderstanding", said, rubric) else 0
        longest = max(longest, run)
    return max(longest, conversation.call.num_misunderstandings or 0)


def _disclosure(conversation: Conversation, rubric: Rubric) -> Iterator[Finding]:
    call, limit_s = conversation.call, rubric.limits.disclosure_s
    if call.probe or call.answered_at is None:
        return
    told_s = call.disclosure_s
    if told_s is not None and told_s > limit_s:
        yield Finding("disclosure_late", "compliance", f"disclosed after {told_s:.1f} s, limit {limit_s:g} s")
    elif told_s is None and (conversation.answered_s is None or conversation.answered_s > limit_s):
        spoken = any(matches("disclosure", said, rubric) for said in searched(conversation, "agent"))
        where = "words of one are in a reply, but not when" if spoken else "none is in the replies either"
        yield Finding("disclosure_missing", "compliance", f"no AI disclosure was recorded; {where}")


def _dialled(conversation: Conversation, rubric: Rubric) -> Iterator[Finding]:
    call = conversation.call
    if call.direction != "outbound" or call.probe:
        return
    if call.consent_id is None:
        yield Finding("consent_missing", "compliance", "an outbound call without a consent")
    if call.consent_revoked_at is not None and call.consent_revoked_at <= call.started_at:
        yield Finding("consent_revoked", "compliance", "the consent had been revoked before the call")
    if call.dnc_listed:
        yield Finding("do_not_call_dialled", "compliance", "the number is on the do-not-call list")
    if call.window_verdict == "blocked":
        yield Finding("outside_calling_window", "compliance", "dialled outside of the calling window")


def _card_by_voice(conversation: Conversation, rubric: Rubric) -> Iterator[Finding]:
    if conversation.call.dtmf_paused is False:
        yield Finding("card_without_pause", "compliance", "card details were taken without the DTMF pause")


def _opt_out(conversation: Conversation, rubric: Rubric) -> Iterator[Finding]:
    if conversation.call.opted_out:
        return
    for said in searched(conversation, "caller"):
        if matches("opt_out", said, rubric):
            yield Finding("opt_out_ignored", "compliance", f"not recorded: {_quoted(said)}", said.turn)
            return


def _prohibited(conversation: Conversation, rubric: Rubric) -> Iterator[Finding]:
    for name in rubric.phrases.prohibited:
        hit = next(
            (said for said in searched(conversation, "agent") if matches(f"prohibited:{name}", said, rubric)), None
        )
        if hit is not None:
            yield Finding(name, "compliance", _quoted(hit), hit.turn)


def _human_request(conversation: Conversation, rubric: Rubric) -> Iterator[Finding]:
    asked = human_requests(conversation, rubric)
    if not asked:
        return
    if not conversation.call.transfer_attempted:
        yield Finding("human_request_ignored", "escalation", f"no transfer: {_quoted(asked[0])}", asked[0].turn)
    elif len(asked) > rubric.limits.human_requests:
        yield Finding("human_request_delayed", "escalation", f"the caller asked {len(asked)} times", asked[0].turn)


def _misunderstood(conversation: Conversation, rubric: Rubric) -> Iterator[Finding]:
    count = misunderstandings_in_a_row(conversation, rubric)
    if count >= rubric.limits.misunderstandings and not conversation.call.transfer_attempted:
        yield Finding("misunderstood_repeatedly", "escalation", f"{count} misunderstandings in a row, no transfer")


def _transfer(conversation: Conversation, rubric: Rubric) -> Iterator[Finding]:
    call = conversation.call
    if not call.transfer_attempted:
        return
    if call.transfer_payload_digest is None:
        yield Finding("transfer_without_payload", "quality", "the human got nothing of the conversation")
    elif call.transfer_complete is False:
        yield Finding("transfer_payload_incomplete", "quality", "the human got only parts of the conversation")
    if call.transfer_result == "failed":
        yield Finding("transfer_failed", "quality", "no human was reached")
    shown_at, answer_at = call.screen_pop_at, call.human_answer_at
    if shown_at is not None and answer_at is not None and shown_at > answer_at:
        late_s = shown_at - answer_at
        yield Finding("screen_pop_late", "quality", f"the context arrived {late_s:.1f} s after the human answered")


def _dead_air(conversation: Conversation, rubric: Rubric) -> Iterator[Finding]:
    limit_s = rubric.limits.dead_air_s
    silence_s = conversation.call.dead_air_s
    if silence_s is not None and silence_s > limit_s:
        yield Finding("dead_air", "quality", f"{silence_s:.1f} s of silence during the transfer")
        return
    slow = [turn for turn in conversation.turns if turn.v2v_s is not None and turn.v2v_s > limit_s]
    if slow:
        worst = max(slow, key=lambda turn: turn.v2v_s or 0.0)
        yield Finding("dead_air", "quality", f"{worst.v2v_s:.1f} s until the answer", worst.turn)


def _failed(conversation: Conversation, rubric: Rubric) -> Iterator[Finding]:
    if conversation.call.end_reason in ("failed", "lost", "drained"):
        yield Finding(f"call_{conversation.call.end_reason}", "quality", "the call did not end by itself")


def _knowledge_gaps(conversation: Conversation, rubric: Rubric) -> Iterator[Finding]:
    question: Said | None = None
    for said in searched(conversation, "caller", "agent"):
        if said.speaker == "caller":
            question = said
        elif question is not None and matches("knowledge_gap", said, rubric):
            yield Finding("knowledge_gap", "gap", question.text[:MAX_QUOTED], question.turn)
            question = None


RULES: Final[tuple[Rule, ...]] = (
    _disclosure,
    _dialled,
    _card_by_voice,
    _opt_out,
    _prohibited,
    _human_request,
    _misunderstood,
    _transfer,
    _dead_air,
    _failed,
    _knowledge_gaps,
)


def _plain(text: str) -> str:
    return " ".join(text[:MAX_SEARCHED].replace("’", "'").split())


def _quoted(said: Said) -> str:
    text = _plain(said.text)
    return f"“{text[:MAX_QUOTED]}{'…' if len(text) > MAX_QUOTED else ''}”"
