"""Events become the row of a call and those of its turns."""

import hashlib
import json
from dataclasses import replace
from itertools import combinations

import pytest

from tests.fakes.recorded_call import STARTED_AT, events_of_call, identity, scribe, transfer, turn, whole_call, written
from voicectl.core import events as ev
from voicectl.core.records import CallRow, GovernanceEvent, contained, warm
from voicectl.governance.recording.fold import RECORDED, CallFold, fold, recorded
from voicectl.service.recording.scribe import Began, Ended, Noted

CALL = identity()


def folded(events: list[GovernanceEvent]) -> CallRow:
    call = fold("sess_1", events).call
    assert call is not None
    return call


def test_a_call_has_its_turns_times_and_end() -> None:
    events = events_of_call(CALL, turns=2)
    call = folded(events)
    assert (call.use_case, call.tier, call.tenant, call.num_turns) == ("order_status", "low", "key1", 2)
    assert (call.started_at, call.answered_at, call.ended_at) == (STARTED_AT, STARTED_AT, STARTED_AT + 25)
    assert (call.end_reason, call.abandoned, call.handle_s, call.audio_s) == ("caller-hung-up", False, 25.0, 3.0)
    assert (call.config_digest, call.prompt_digest, call.incomplete) == ("c" * 64, "p" * 64, False)
    first, second = fold("sess_1", events).turns()
    assert (first.turn, first.transcript, first.reply) == (1, "where is my order", "On its way.")
    assert first.v2v_s == pytest.approx(0.4)
    assert (second.prompt_tokens, second.completion_tokens, second.interrupted) == (20, 7, False)


def test_events_taken_twice_change_nothing() -> None:
    events = events_of_call(CALL)
    twice = CallFold("sess_1")
    for event in [*events, *events]:
        twice.take(event)
    assert (twice.call, twice.turns()) == (folded(events), fold("sess_1", events).turns())


def test_any_missing_event_but_the_last_ones_marks_the_call() -> None:
    events = events_of_call(CALL, turns=3)
    numbers = [event.sequence for event in events[1:]]
    for size in range(1, len(numbers) + 1):
        for missing in combinations(numbers, size):
            kept = [event for event in events if event.sequence not in missing]
            is_tail = missing == tuple(numbers[-size:])
            assert folded(kept).incomplete is not is_tail, missing


def test_a_call_whose_beginning_is_missing_is_incomplete_and_has_a_row_only_once_it_says_what_it_is() -> None:
    by = scribe()
    events = written(by, whole_call(CALL))
    assert fold("sess_1", events[1:]).call is None
    confession = by.confess(CALL, 3, STARTED_AT + 30)
    call = folded([*events[3:], confession])
    assert (call.use_case, call.incomplete) == ("order_status", True)


def test_a_call_that_goes_on_behind_a_leap_is_complete_and_has_not_ended() -> None:
    by = scribe()
    events = written(by, whole_call(CALL, turns=1))
    later = identity(started_at=STARTED_AT + 100, resumed=True)
    events += written(scribe(), [Noted(later, Began(), 0.0), *turn(later, 1)])
    call = folded(events)
    assert (call.incomplete, call.ended_at, call.end_reason, call.num_turns) == (False, None, None, 2)
    assert call.started_at == STARTED_AT


def test_a_call_of_which_only_the_return_is_known_is_incomplete() -> None:
    later = identity(resumed=True)
    assert folded(written(scribe(), whole_call(later))).incomplete


def test_who_hangs_up_before_any_answer_has_abandoned() -> None:
    seen = [Noted(CALL, Began(), 0.0), Noted(CALL, ev.TranscriptFinal("i", "hello", 1.0), 2.0)]
    events = written(scribe(), [*seen, Noted(CALL, Ended("the client is gone"), 3.0)])
    assert folded(events).abandoned is True
    failed = written(scribe(), [*seen, Noted(CALL, Ended("the call failed"), 3.0)])
    assert (folded(failed).abandoned, folded(failed).end_reason) == (False, "failed")


def test_a_transfer_is_known_by_its_function_and_unknown_without_one() -> None:
    item = ev.Item("f", "assistant", "{}", kind="function_call", call_id="c", name="transfer")
    seen = whole_call(CALL, 1)
    events = written(scribe(), [*seen[:-1], Noted(CALL, ev.ToolCalled("r", item, None), 12.0), seen[-1]])
    call = folded(events)
    assert (call.transfer_attempted, call.escalated, call.end_reason) == (True, True, "transferred")
    assert call.escalation_trigger == "function transfer"
    none = folded(events_of_call(CALL))
    assert (none.transfer_attempted, none.escalated) == (False, False)
    unknown = [replace(event, body={**event.body, "transfers_known": False}) for event in events_of_call(CALL)]
    assert folded(unknown).transfer_attempted is None
    assert contained(replace(folded(unknown), resolved=True)) is None


def with_transfers(*seen: Noted) -> CallRow:
    whole = whole_call(CALL, 1)
    return folded(written(scribe(), [*whole[:-1], *seen, whole[-1]]))


def test_what_the_transfers_function_returned_is_what_became_of_it() -> None:
    told = {
        "transfer_result": "succeeded", "transfer_complete": True, "screen_pop_at": STARTED_AT + 12.5,
        "human_answer_at": "2025-10-09T08:53:33Z", "dead_air_s": 1.5, "note": "not kept",
    }  # fmt: skip
    call = with_transfers(*transfer(CALL, json.dumps(told)))
    assert (call.transfer_result, call.transfer_complete, call.dead_air_s) == ("succeeded", True, 1.5)
    assert (call.screen_pop_at, call.human_answer_at) == (STARTED_AT + 12.5, STARTED_AT + 13)
    assert call.transfer_payload_digest == hashlib.sha256(b"{}").hexdigest()
    assert warm(call) is True


@pytest.mark.parametrize(
    "output",
    [
        None, "", "The desk did not answer in time.", "[]", "null", '{"transfer_result": "maybe", "dead_air_s": -1}',
        '{"transfer_result": ["succeeded"], "transfer_complete": 1, "dead_air_s": 1e999, "screen_pop_at": 1}',
        "[" * 100_000, '{"transfer_result": "succeeded", "note": "' + "x" * 65_536 + '"}',
    ],
)  # fmt: skip
def test_a_transfer_of_which_nothing_readable_is_told_stays_unknown(output: str | None) -> None:
    call = with_transfers(*transfer(CALL, output))
    assert (call.transfer_attempted, warm(call)) == (True, None)
    assert (call.transfer_result, call.transfer_complete, call.dead_air_s) == (None, None, None)


def test_only_the_output_of_a_transfer_tells_of_one() -> None:
    other = ev.Item("f", "assistant", "{}", kind="function_call", call_id="h", name="hours")
    output = ev.Item("o", "tool", '{"transfer_result": "succeeded"}', kind="function_call_output", call_id="h")
    seen = [Noted(CALL, ev.ToolCalled("r", other, None), 12.0), Noted(CALL, ev.ItemAdded(output, None), 13.0)]
    assert with_transfers(*seen).transfer_result is None


def test_a_second_transfer_shows_that_the_first_did_not_hold() -> None:
    good = '{"transfer_result": "succeeded", "transfer_complete": true}'
    call = with_transfers(*transfer(CALL, good), *transfer(CALL, None, call_id="d", at=14.0))
    assert (call.transfer_result, warm(call)) == ("failed", False)
    call = with_transfers(*transfer(CALL, good), *transfer(CALL, good, call_id="d", at=14.0))
    assert warm(call) is True


def test_the_first_reason_for_an_escalation_counts() -> None:
    seen = whole_call(CALL, 1)
    asked = [Noted(CALL, ev.EscalationRequested(reason, "words"), 5.0) for reason in ("llm", "stt")]
    events = written(scribe(), [seen[0], *asked, *seen[1:]])
    assert (folded(events).escalated, folded(events).escalation_trigger) == (True, "llm")
    assert "words" not in str(events)


def test_texts_that_read_differently_later_replace_earlier_ones() -> None:
    seen = [Noted(CALL, Began(), 0.0), *turn(CALL, 1, heard="my card is wait"), *turn(CALL, 2)]
    rows = fold("sess_1", written(scribe(), seen)).turns()
    assert [row.transcript for row in rows] == ["my card is wait settled", "where is my order"]


def test_a_reply_that_was_cut_is_what_was_heard_of_it() -> None:
    seen = [Noted(CALL, Began(), 0.0), *turn(CALL, 1), Noted(CALL, ev.ItemTruncated("item_a1", 300, "On"), 13.0)]
    assert fold("sess_1", written(scribe(), seen)).turns()[0].reply == "On"


def test_utterances_before_one_reply_are_one_turn() -> None:
    started, *rest = turn(CALL, 1)
    seen = [Noted(CALL, Began(), 0.0), started, Noted(CALL, ev.TranscriptFinal("item_x", "please", 0.5), 11.0), *rest]
    (row,) = fold("sess_1", written(scribe(), seen)).turns()
    assert row.transcript == "where is my order please"


def test_the_confidence_before_the_first_escalation_is_kept() -> None:
    def said(number: int, confidence: float | None) -> Noted:
        return Noted(CALL, ev.TranscriptFinal(f"item_u{number}", "a person please", 1.0, confidence), float(number))

    began = Noted(CALL, Began(), 0.0)
    asked = Noted(CALL, ev.EscalationRequested("caller asked", 1), 3.5)
    assert folded(written(scribe(), [began, said(1, 0.9)])).confidence is None
    assert folded(written(scribe(), [began, said(1, 0.9), said(2, 0.41234), asked, said(4, 0.2)])).confidence == 0.412
    assert folded(written(scribe(), [began, said(1, None), asked, said(4, 0.2), asked])).confidence is None


def test_the_prompt_of_the_first_reply_is_the_calls() -> None:
    changed = [Noted(CALL, ev.SettingsChanged(ev.SessionSettings(instructions=text)), 1.0) for text in ("a", "b", "c")]
    seen = [Noted(CALL, Began(), 0.0), *changed[:2], *turn(CALL, 1), changed[2]]
    events = written(scribe(), seen)
    digests = [event.body["prompt_digest"] for event in events if event.kind == "prompt_set"]
    assert folded(events).prompt_digest == digests[1]
    assert len(set(digests)) == 3


def test_only_turns_that_changed_are_written_again() -> None:
    live = CallFold("sess_1")
    for event in events_of_call(CALL, turns=2):
        live.take(event)
    assert [row.turn for row in live.changed_turns()] == [1, 2]
    assert live.changed_turns() == ()


def test_what_imports_and_scores_decide_is_not_the_folds() -> None:
    columns = set(recorded(folded(events_of_call(CALL))))
    assert columns == set(RECORDED)
    assert not columns & {"resolved", "csat", "score_state", "compliance_flagged", "cost"}


def outcome(*seen: Noted) -> CallRow:
    return folded(written(scribe(), [Noted(CALL, Began(), 0.0), *seen]))


def unheard(at: float) -> Noted:
    return Noted(CALL, ev.TranscriptFailed("item_x", "no words"), at)


SORRY = "Sorry, I didn't catch that."


def test_misunderstandings_in_a_row_are_counted_once_a_turn() -> None:
    assert outcome().num_misunderstandings is None
    assert outcome(*turn(CALL, 1)).num_misunderstandings == 0
    assert outcome(*turn(CALL, 1, said=SORRY), *turn(CALL, 2, said=SORRY), *turn(CALL, 3)).num_misunderstandings == 2
    assert outcome(unheard(5.0), *turn(CALL, 1)[1:], unheard(15.0)).num_misunderstandings == 2
    assert outcome(*turn(CALL, 1, said=SORRY), *turn(CALL, 2), *turn(CALL, 3, said=SORRY)).num_misunderstandings == 1


def test_a_reply_that_asks_again_belongs_to_the_turn_that_was_not_heard() -> None:
    assert outcome(unheard(5.0), *turn(CALL, 1, said=SORRY)[1:]).num_misunderstandings == 1


def test_the_first_disclosure_counts_from_the_start_of_the_call() -> None:
    said = "I am an automated assistant."
    call = outcome(*turn(CALL, 1, said=said), *turn(CALL, 2, said=said))
    assert call.disclosure_s is not None
    assert 1.4 < call.disclosure_s < 12.0
    assert outcome(*turn(CALL, 1)).disclosure_s is None


def test_a_reply_beside_the_conversation_discloses_nothing() -> None:
    aside = ev.ResponseStarted("resp_1", "item_a1", None, "audio", out_of_band=True)
    seen = turn(CALL, 1, said="I am an automated assistant.")
    assert outcome(seen[0], Noted(CALL, aside, 10.1), seen[2]).disclosure_s is None


def test_a_dialled_call_has_what_its_dialler_checked() -> None:
    dialled = identity(attributes={"direction": "outbound", "consent_id": "c-1", "dnc_listed": "false"})
    call = folded(written(scribe(), [Noted(dialled, Began("ab" * 16), 0.0)]))
    assert (call.direction, call.consent_id, call.dnc_listed) == ("outbound", "c-1", False)
    assert (call.window_verdict, call.trace_id) == (None, "ab" * 16)
