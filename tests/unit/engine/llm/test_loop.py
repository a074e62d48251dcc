import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec import structs
from prometheus_client import CollectorRegistry

from tests.unit.engine.llm.fakes import (
    START,
    Caller,
    FakeBackend,
    StillClock,
    build_loop,
    generate,
    prompt_of,
    reply_of,
)
from voicectl.core.errors import EngineError
from voicectl.core.events import ToolChoice
from voicectl.engine.llm.intake import WORDS
from voicectl.engine.llm.loop import UNKNOWN_TOKENS, StepLoop
from voicectl.engine.messages import (
    Failed,
    Forget,
    Forgotten,
    Generate,
    GenerationEnded,
    PromptMessage,
    ReplyBody,
    Transcribe,
    Wake,
    WireTool,
)
from voicectl.engine.stage import Job


class Bench:
    """A loop on the fake model, with a caller."""

    def __init__(self, **limits: int) -> None:
        self.backend = FakeBackend()
        self.clock = StillClock()
        self.caller = Caller()
        self.registry = CollectorRegistry()
        self.loop: StepLoop = build_loop(self.backend, self.clock, registry=self.registry, **limits)

    def submit(self, request: Generate | Wake, *, priority: int = 0, deadline_at: float = 1000.0) -> int:
        job = self.caller.job(request, priority=priority, deadline_at=deadline_at)
        self.loop.submit(job)
        return job.request_id

    def finish(self) -> None:
        while self.loop.has_work():
            self.loop.step()

    def physical_tokens(self) -> int:
        """Tokens the backend holds, shared ones counted once as llama.cpp does."""
        return self.backend.num_taken()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_reply_is_that_of_the_bare_model(bench: Bench) -> None:
    request = generate("a", "Hello", max_tokens=30)
    request_id = bench.submit(request)
    bench.finish()
    text = reply_of(prompt_of(request), 30)
    assert bench.caller.text(request_id) == text
    end = bench.caller.ended(request_id)
    assert (end.finish, end.completion_tokens) == ("stop", len(text))
    assert end.prompt_tokens == len(prompt_of(request))


def test_a_reply_ends_at_its_length(bench: Bench) -> None:
    request_id = bench.submit(generate("a", "Hello", max_tokens=1))
    bench.finish()
    assert bench.caller.ended(request_id).finish == "length"
    assert bench.caller.ended(request_id).completion_tokens == 1


def test_a_first_turn_reuses_the_shared_system_prompt(bench: Bench) -> None:
    request = generate("a", "Hello")
    request_id = bench.submit(request)
    bench.finish()
    shared = prompt_of(request).index(ord("H"))
    assert bench.caller.ended(request_id).cached_tokens == shared


def test_a_follow_up_runs_only_what_is_new(bench: Bench) -> None:
    first = bench.submit(generate("a", "Hello"))
    bench.finish()
    before = bench.caller.ended(first)
    reply = bench.caller.text(first)
    request = generate("a", "Hello", reply, "And then?")
    second = bench.submit(request)
    bench.finish()
    # All of the first turn but its last token, which was drawn and never ran.
    assert bench.caller.ended(second).cached_tokens >= before.prompt_tokens + before.completion_tokens - 1
    assert bench.caller.text(second) == reply_of(prompt_of(request), 8)


def test_history_cut_to_the_heard_words_is_followed(bench: Bench) -> None:
    first = bench.submit(generate("a", "Hello you", max_tokens=20))
    bench.finish()
    heard = bench.caller.text(first)[:1]
    request = generate("a", "Hello you", heard, "Wait")
    second = bench.submit(request)
    bench.finish()
    assert bench.caller.text(second) == reply_of(prompt_of(request), 8)


def test_a_cancelled_reply_leaves_a_sound_cache(bench: Bench) -> None:
    request = generate("a", "Tell me more", max_tokens=40)
    first = bench.submit(request)
    bench.loop.step()
    bench.loop.step()
    bench.loop.cancel(first)
    bench.loop.cancel(first)
    bench.loop.cancel(12345)
    assert bench.caller.failed(first).kind == "cancelled"
    assert not bench.loop.has_work()
    again = bench.submit(request)
    bench.finish()
    assert bench.caller.text(again) == reply_of(prompt_of(request), 40)
    assert bench.caller.ended(again).cached_tokens == len(prompt_of(request)) - 1


def test_an_expected_prompt_that_no_cache_holds_is_computed_before_it_is_asked_with(bench: Bench) -> None:
    history = ("Tell me about your opening hours", "We open at nine and close at five", "And on Saturdays?")
    expected, asked = generate("a", *history[:2]), generate("a", *history)
    wake = bench.submit(Wake(expected))
    assert bench.caller.replies[wake] == [Forgotten()]
    bench.finish()
    assert bench.caller.replies[wake] == [Forgotten()]
    request_id = bench.submit(asked)
    bench.finish()
    assert bench.caller.text(request_id) == reply_of(prompt_of(asked), 8)
    # All but the markers in which a question differs from the end of a prompt.
    assert bench.caller.ended(request_id).cached_tokens >= len(prompt_of(expected)) - UNKNOWN_TOKENS
    assert bench.backend.num_chains == 0


def test_who_asks_before_the_expected_prompt_is_computed_overtakes_it(bench: Bench) -> None:
    asked = generate("a", "Tell me about your opening hours " * 4)
    bench.submit(Wake(asked))
    bench.loop.step()
    request_id = bench.submit(asked)
    bench.finish()
    assert bench.caller.text(request_id) == reply_of(prompt_of(asked), 8)
    assert bench.caller.ended(request_id).cached_tokens > len(prompt_of(generate("a", "")))
    assert bench.backend.num_chains == 0


def test_expected_prompts_give_their_room_to_who_asks() -> None:
    bench = Bench(hot_sessions=2)
    long = "Tell me about your opening hours " * 4
    for session_id in "ab":
        bench.submit(Wake(generate(session_id, long)))
    bench.loop.step()
    asked = generate("c", "Hello")
    request_id = bench.submit(asked)
    bench.loop.step()
    bench.loop.step()
    assert bench.caller.replies[request_id] != []
    bench.submit(Wake(generate("d", long)))
    bench.finish()
    assert bench.caller.text(request_id) == reply_of(prompt_of(asked), 8)
    assert bench.backend.num_chains == 0


def test_an_expected_prompt_that_is_known_is_not_computed_again(bench: Bench) -> None:
    bench.submit(generate("a", "Tell me about your opening hours"))
    bench.finish()
    bench.submit(Wake(generate("a", "Tell me about your opening hours")))
    assert not bench.loop.has_work()


def test_an_expected_prompt_without_meaning_is_ignored(bench: Bench) -> None:
    wake = bench.submit(Wake(structs.replace(generate("a", "Hello"), max_tokens=0)))
    assert bench.caller.replies[wake] == [Forgotten()]
    assert not bench.loop.has_work()


def test_requests_of_one_session_run_one_after_another(bench: Bench) -> None:
    requests = [generate("a", f"Question {number}") for number in range(3)]
    ids = [bench.submit(request) for request in requests]
    bench.finish()
    for request_id, request in zip(ids, requests, strict=True):
        assert bench.caller.text(request_id) == reply_of(prompt_of(request), 8)


def test_a_session_too_many_waits_for_a_sequence(bench: Bench) -> None:
    requests = [generate(session_id, "Hello", max_tokens=20) for session_id in "abcd"]
    ids = [bench.submit(request) for request in requests]
    bench.loop.step()
    assert bench.caller.replies[ids[3]] == []
    bench.finish()
    for request_id, request in zip(ids, requests, strict=True):
        assert bench.caller.text(request_id) == reply_of(prompt_of(request), 20)


def test_waiting_for_a_sequence_ends_with_the_deadline(bench: Bench) -> None:
    for session_id in "abc":
        bench.submit(generate(session_id, "Hello", max_tokens=20))
    late = bench.submit(generate("d", "Hello"), deadline_at=2.0)
    bench.loop.step()
    bench.clock.at = 2.0
    bench.finish()
    assert bench.caller.failed(late).kind == "deadline"


def test_a_late_request_fails_with_its_deadline(bench: Bench) -> None:
    waiting = bench.submit(generate("a", "Hello", max_tokens=30), deadline_at=5.0)
    other = bench.submit(generate("b", "Hello"), deadline_at=50.0)
    bench.loop.step()
    bench.clock.at = 5.0
    bench.finish()
    assert bench.caller.failed(waiting).kind == "deadline"
    bench.caller.ended(other)
    assert bench.backend.num_chains == 0


def test_forgetting_frees_the_sequence_and_ends_what_runs(bench: Bench) -> None:
    idle = bench.loop.num_cached_tokens()
    request_id = bench.submit(generate("a", "Hello"))
    bench.loop.step()
    assert bench.loop.num_cached_tokens() > idle
    job = bench.caller.job(Forget("a"))
    bench.loop.submit(job)
    assert bench.caller.end(job.request_id) == Forgotten()
    assert bench.caller.failed(request_id).kind == "cancelled"
    assert bench.loop.num_cached_tokens() == idle == bench.physical_tokens()
    unknown = bench.caller.job(Forget("nobody"))
    bench.loop.submit(unknown)
    assert bench.caller.end(unknown.request_id) == Forgotten()


@pytest.mark.parametrize(
    "body",
    [
        Transcribe(b""),
        generate("a", "Hello", max_tokens=0),
        generate("a", "Hello", temperature=-1.0),
        Generate("a", (), 8, 0.0, 0.9, 40, 0),
    ],
    ids=["another stage's", "no reply", "temperature", "no messages"],
)
def test_requests_without_meaning_are_rejected(bench: Bench, body: Transcribe | Generate) -> None:
    job = bench.caller.job(body)
    bench.loop.submit(job)
    assert bench.caller.failed(job.request_id).kind == "rejected"
    assert not bench.loop.has_work()


def test_an_id_in_use_is_rejected_and_its_first_owner_lives(bench: Bench) -> None:
    first = bench.submit(generate("a", "Hello"))
    replies: list[ReplyBody] = []
    bench.loop.submit(Job(first, 0, 1000.0, generate("b", "Hello"), replies.append))
    assert isinstance(replies[0], Failed)
    bench.finish()
    bench.caller.ended(first)


def test_one_failing_sequence_never_fails_another(bench: Bench) -> None:
    requests = {session_id: generate(session_id, f"Hello {session_id}", max_tokens=20) for session_id in "abc"}
    ids = {session_id: bench.submit(request) for session_id, request in requests.items()}
    bench.loop.step()
    bench.backend.broken = {2}
    bench.finish()
    failed = [session_id for session_id in "abc" if isinstance(bench.caller.end(ids[session_id]), Failed)]
    assert failed == ["b"]
    assert bench.caller.failed(ids["b"]).kind == "internal"
    for session_id in "ac":
        assert bench.caller.text(ids[session_id]) == reply_of(prompt_of(requests[session_id]), 20)
    bench.backend.broken = set()
    again = bench.submit(requests["b"])
    bench.finish()
    assert bench.caller.text(again) == reply_of(prompt_of(requests["b"]), 20)


def test_a_full_cache_evicts_idle_sessions_before_it_rejects() -> None:
    bench = Bench()
    for session_id in "ab":
        bench.submit(generate(session_id, "Hello " * 10))
        bench.finish()
    bench.backend.num_cells = sum(map(len, bench.backend.sequences.values())) + 4
    request = generate("c", "Good day " * 5)
    third = bench.submit(request)
    bench.finish()
    assert bench.caller.text(third) == reply_of(prompt_of(request), 8)
    bench.backend.num_cells = 0
    fourth = bench.submit(generate("c", "Again"))
    bench.finish()
    assert bench.caller.failed(fourth).kind == "rejected"


def parking_bench(**limits: int) -> Bench:
    return Bench(**({"hot_sessions": 2, "parked_bytes": 100_000} | limits))


def ask(bench: Bench, *texts: str, session_id: str = "a") -> GenerationEnded:
    request = generate(session_id, *texts)
    request_id = bench.submit(request)
    bench.finish()
    assert bench.caller.text(request_id) == reply_of(prompt_of(request), 8)
    return bench.caller.ended(request_id)


def crowd_out(bench: Bench) -> None:
    for session_id in "xyz":
        ask(bench, "Hello", session_id=session_id)


@pytest.mark.parametrize("wakes", [True, False])
def test_a_session_that_lost_its_sequence_goes_on_where_it_was(wakes: bool) -> None:
    bench = parking_bench()
    first = ask(bench, "Hello")
    crowd_out(bench)
    if wakes:
        job = bench.caller.job(Wake(generate("a", "Hello")))
        bench.loop.submit(job)
        assert bench.caller.end(job.request_id) == Forgotten()
    assert ask(bench, "Hello", "yes", "And then?").cached_tokens >= first.prompt_tokens
    assert bench.loop.num_cached_tokens() == bench.physical_tokens()


def test_without_room_for_parking_a_session_begins_again() -> None:
    bench = parking_bench(parked_bytes=0)
    first = ask(bench, "Hello")
    crowd_out(bench)
    assert ask(bench, "Hello", "yes", "And then?").cached_tokens < first.prompt_tokens


def test_a_state_that_cannot_be_loaded_is_lost_and_the_session_answers() -> None:
    bench = parking_bench()
    first = ask(bench, "Hello")
    crowd_out(bench)
    bench.backend.refuses_loads = True
    assert ask(bench, "Hello", "yes", "And then?").cached_tokens < first.prompt_tokens
    assert bench.loop.num_cached_tokens() == bench.physical_tokens()


def test_waking_nobody_or_into_a_full_cache_changes_nothing() -> None:
    bench = parking_bench()
    ask(bench, "Hello")
    crowd_out(bench)
    held = [bench.submit(generate(session_id, "Hello", max_tokens=30)) for session_id in "yz"]
    bench.loop.step()
    for session_id in ("a", "nobody", "y"):
        bench.loop.submit(bench.caller.job(Wake(generate(session_id, "Hello", "Hi", "More"))))
    bench.finish()
    for request_id in held:
        bench.caller.ended(request_id)
    assert ask(bench, "Hello").cached_tokens > 0


def test_what_was_forgotten_while_parked_is_gone() -> None:
    bench = parking_bench()
    first = ask(bench, "Hello")
    crowd_out(bench)
    bench.loop.submit(bench.caller.job(Forget("a")))
    assert ask(bench, "Hello", "yes", "And then?").cached_tokens < first.prompt_tokens


def test_idle_sessions_beyond_their_bound_are_parked() -> None:
    bench = parking_bench(hot_sessions=4, idle_tokens=40)
    for session_id in "abc":
        ask(bench, "Hello " * 4, session_id=session_id)
    idle = ask(bench, "Hello", session_id="d")
    prefix = len(bench.backend.sequences[0])
    assert bench.loop.num_cached_tokens() <= prefix + 40 + idle.prompt_tokens
    assert bench.loop.num_cached_tokens() == bench.physical_tokens()


def test_who_finds_no_cells_waits_for_those_who_speak() -> None:
    bench = Bench(cache_tokens=150)
    first = bench.submit(generate("a", "Hello", max_tokens=60))
    second = bench.submit(generate("b", "Hello", max_tokens=60))
    small = bench.submit(generate("c", "Hi", max_tokens=1))
    for _ in range(4):
        bench.loop.step()
    assert bench.caller.replies[first]
    assert not bench.caller.replies[second]
    assert not bench.caller.replies[small], "small requests do not slip past a large one"
    bench.finish()
    for request_id in (first, second, small):
        bench.caller.ended(request_id)


def test_a_request_that_no_cache_can_hold_is_rejected_and_holds_up_nobody() -> None:
    bench = Bench(cache_tokens=100)
    too_large = bench.submit(generate("a", "Hello", max_tokens=100))
    small = bench.submit(generate("b", "Hi", max_tokens=8))
    bench.finish()
    assert bench.caller.failed(too_large).kind == "rejected"
    bench.caller.ended(small)


def test_a_final_prompt_goes_before_a_speculative_one() -> None:
    bench = Bench(hot_sessions=1)
    blocker = bench.submit(generate("x", "Hello", max_tokens=4))
    bench.loop.step()
    speculative = bench.submit(generate("a", "Hello", max_tokens=4), priority=1, deadline_at=10.0)
    final = bench.submit(generate("b", "Hello", max_tokens=4), priority=0, deadline_at=20.0)
    ended = []
    while bench.loop.has_work():
        bench.loop.step()
        ended += [one for one in (blocker, speculative, final) if bench.caller.end(one) and one not in ended]
    assert ended == [blocker, final, speculative]


WEATHER = WireTool("get_weather", "The weather.", '{"type": "object", "properties": {"city": {"type": "string"}}}')
CALL = '<tool_call>{"name": "get_weather", "arguments": {"city": "Rome"}}</tool_call>'


def tool_request(*texts: str, choice: ToolChoice = "auto", max_tokens: int = 200) -> Generate:
    request = generate("a", *texts, max_tokens=max_tokens)
    return structs.replace(request, tools=(WEATHER,), tool_choice=choice)


def test_a_call_is_told_at_the_end_and_not_said() -> None:
    bench = Bench(context_tokens=4096)
    bench.backend.says = "Let me see. <tool_call>"
    bench.backend.forced_text = CALL.removeprefix("<tool_call>")
    request_id = bench.submit(tool_request("How is the weather?"))
    bench.finish()
    assert bench.caller.text(request_id).rstrip() == "Let me see."
    end = bench.caller.ended(request_id)
    assert end.finish == "tool_calls"
    assert [(call.name, call.arguments) for call in end.tool_calls] == [("get_weather", '{"city": "Rome"}')]
    assert bench.backend.grammars[-1].startswith('root ::= "{')


def test_words_that_begin_like_a_call_are_said_in_the_end() -> None:
    bench = Bench(context_tokens=4096)
    bench.backend.says = "It is <tool"
    request_id = bench.submit(tool_request("How is the weather?"))
    bench.finish()
    assert bench.caller.text(request_id) == "It is <tool"
    assert bench.caller.ended(request_id).tool_calls == ()


def test_a_call_that_must_be_made_begins_in_the_prompt() -> None:
    bench = Bench(context_tokens=4096)
    bench.backend.forced_text = '{"city": "Rome"}}</tool_call>'
    request_id = bench.submit(tool_request("Hello", choice="required"))
    bench.finish()
    assert bench.caller.text(request_id) == ""
    end = bench.caller.ended(request_id)
    assert [call.arguments for call in end.tool_calls] == ['{"city": "Rome"}']
    assert end.completion_tokens == len(bench.backend.forced_text)
    assert bench.backend.grammars[-1].startswith('root ::= "" call-0')


def test_no_function_is_offered_where_none_may_be_called() -> None:
    bench = Bench(context_tokens=4096)
    request = tool_request("Hello", choice="none", max_tokens=8)
    request_id = bench.submit(request)
    bench.finish()
    assert bench.caller.text(request_id) == reply_of(prompt_of(request), 8)
    assert bench.backend.grammars == []


def test_the_next_turn_finds_functions_call_and_output_in_the_cache() -> None:
    bench = Bench(context_tokens=4096)
    bench.backend.says, bench.backend.forced_text = "<tool_call>", CALL.removeprefix("<tool_call>")
    asked = tool_request("How is the weather?")
    first = bench.submit(asked)
    bench.finish()
    end = bench.caller.ended(first)
    output = PromptMessage("tool", "sunny", call_id=end.tool_calls[0].call_id)
    messages = (*asked.messages, PromptMessage("assistant", "", end.tool_calls), output)
    said = PromptMessage("assistant", "It is sunny.")
    bench.backend.says, bench.backend.forced_text = "You are welcome.", None
    second = bench.submit(structs.replace(asked, messages=(*messages, said, PromptMessage("user", "Thanks."))))
    bench.finish()
    assert bench.caller.text(second) == "You are welcome."
    assert bench.caller.ended(second).cached_tokens >= end.prompt_tokens + end.completion_tokens - 1


def test_a_model_that_was_not_taught_functions_answers_their_output_in_words() -> None:
    bench = Bench(context_tokens=4096)
    request = tool_request("How is the weather?")
    messages = (*request.messages, PromptMessage("tool", "sunny", call_id="call_1"))
    bench.backend.says = "It is sunny."
    request_id = bench.submit(structs.replace(request, messages=messages))
    bench.finish()
    assert bench.caller.text(request_id) == "It is sunny."
    assert set(bench.backend.grammars) == {WORDS}


def test_a_schema_binds_the_whole_reply() -> None:
    bench = Bench()
    bench.backend.forced_text = "[1]"
    request_id = bench.submit(structs.replace(generate("a", "Hello"), schema='{"type": "array"}'))
    bench.finish()
    assert bench.caller.text(request_id) == "[1]"
    assert bench.caller.failed(request_id).kind == "internal", "the fake model has no end under a grammar"


@pytest.mark.parametrize("schema", ["{", '{"type": "colour"}'])
def test_a_bad_schema_is_rejected_and_nothing_is_left(bench: Bench, schema: str) -> None:
    request_id = bench.submit(structs.replace(generate("a", "Hello"), schema=schema))
    assert bench.caller.failed(request_id).kind == "rejected"
    assert not bench.loop.has_work()
    assert bench.backend.num_chains == 0


def test_a_grammar_that_the_model_refuses_is_rejected_at_once(bench: Bench) -> None:
    bench.backend.refuses_grammars = True
    for request in (structs.replace(generate("a", "Hello"), schema="{}"), tool_request("Hello", max_tokens=8)):
        request_id = bench.submit(request)
        assert bench.caller.failed(request_id).kind == "rejected"
    assert bench.backend.num_chains == 0


def test_a_function_that_is_not_offered_cannot_be_forced(bench: Bench) -> None:
    request = structs.replace(tool_request("Hello", choice="required"), forced_tool="get_time")
    assert "get_time" in bench.caller.failed(bench.submit(request)).message


def test_steps_sessions_and_ends_are_counted() -> None:
    bench = parking_bench()
    ask(bench, "Hello")
    crowd_out(bench)
    ask(bench, "Hello", "yes", "And then?")
    bench.loop.cancel(bench.submit(generate("a", "Hello")))
    bench.submit(generate("a", "Hello", max_tokens=0))
    value = bench.registry.get_sample_value
    ends = {
        outcome: value("voicectl_llm_requests_total", {"outcome": outcome}) for outcome in ("cancelled", "rejected")
    }
    assert ends == {"cancelled": 1.0, "rejected": 1.0}
    assert value("voicectl_llm_hot_sessions") == 2.0
    assert value("voicectl_llm_parked_sessions") == 2.0
    assert (value("voicectl_llm_parked_bytes") or 0) > 0
    assert value("voicectl_llm_cache_tokens") == bench.physical_tokens()
    assert value("voicectl_llm_move_seconds_count", {"move": "unparked"}) == 1.0
    ran = value("voicectl_llm_tokens_total", {"kind": "prefill"})
    assert ran == value("voicectl_llm_prompt_tokens_total", {"source": "run"})
    assert (value("voicectl_llm_step_seconds_count", {"kind": "decode"}) or 0) > 0
    assert (value("voicectl_llm_waiting"), value("voicectl_llm_running")) == (0.0, 0.0)


def test_over_long_history_is_cut_not_refused() -> None:
    bench = Bench(context_tokens=256)
    turns = ["What about this? " * 2, "That is so. "] * 12
    request_id = bench.submit(generate("a", *turns, "And now?", max_tokens=1000))
    bench.finish()
    end = bench.caller.ended(request_id)
    assert end.prompt_tokens <= 128
    assert end.prompt_tokens + end.completion_tokens <= 256


def test_prefill_stays_within_its_budget_and_control_tokens_never_become_text(bench: Bench) -> None:
    request_id = bench.submit(generate("a", "word " * 60))
    bench.finish()
    assert max(bench.backend.batch_sizes) <= 48
    assert all(ord(character) < START for character in bench.caller.text(request_id))


def test_a_receiver_that_raises_harms_nobody(bench: Bench) -> None:
    def broken(_: ReplyBody) -> None:
        raise OSError("gone")

    bench.loop.submit(Job(999, 0, 1000.0, generate("x", "Hello"), broken))
    other = bench.submit(generate("a", "Hello"))
    bench.finish()
    bench.caller.ended(other)


def test_a_reset_fails_what_runs_and_serves_on(bench: Bench) -> None:
    request = generate("a", "Hello")
    first = bench.submit(request)
    bench.loop.step()
    bench.loop.reset("the model failed")
    assert bench.caller.failed(first).kind == "internal"
    again = bench.submit(request)
    bench.finish()
    assert bench.caller.text(again) == reply_of(prompt_of(request), 8)


def test_closing_cancels_what_runs_and_frees_the_model(bench: Bench) -> None:
    request_id = bench.submit(generate("a", "Hello"))
    bench.loop.step()
    bench.loop.close()
    assert bench.caller.failed(request_id).kind == "cancelled"
    assert bench.backend.closed
    assert bench.backend.num_chains == 0


def test_a_model_that_cannot_run_its_system_prompt_does_not_start() -> None:
    with pytest.raises(EngineError, match="its own system prompt"):
        build_loop(FakeBackend(num_cells=0), StillClock())


class ManyCallers(RuleBasedStateMachine):
    """Callers who ask, cancel, leave and meet failures in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(cache_tokens=600, context_tokens=400, idle_tokens=150, parked_bytes=2000)
        self.asked: dict[int, Generate] = {}
        self.last_reply: dict[str, tuple[str, ...]] = {}

    @rule(
        session_id=st.sampled_from("abcde"),
        text=st.text("xyz", min_size=1, max_size=60),
        goes_on=st.booleans(),
        max_tokens=st.integers(1, 12),
        priority=st.integers(0, 2),
        patience_s=st.integers(1, 60),
    )
    def ask(self, session_id: str, text: str, goes_on: bool, max_tokens: int, priority: int, patience_s: int) -> None:
        history = self.last_reply.get(session_id, ()) if goes_on else ()
        request = generate(session_id, *history[-4:], text, max_tokens=max_tokens)
        deadline_at = self.bench.clock.at + patience_s
        self.asked[self.bench.submit(request, priority=priority, deadline_at=deadline_at)] = request

    @rule(num_steps=st.integers(1, 8))
    def step(self, num_steps: int) -> None:
        for _ in range(num_steps):
            self.bench.clock.at += 1
            self.bench.loop.step()
        for request_id, request in self.asked.items():
            if isinstance(self.bench.caller.end(request_id), GenerationEnded):
                turns = tuple(message.content for message in request.messages[1:])
                self.last_reply[request.session_id] = (*turns, self.bench.caller.text(request_id))

    @precondition(lambda self: self.asked)
    @rule(choice=st.randoms(use_true_random=False))
    def cancel(self, choice: object) -> None:
        request_id = choice.choice(sorted(self.asked))  # type: ignore[attr-defined]
        self.bench.loop.cancel(request_id)

    @rule(session_id=st.sampled_from("abcde"))
    def leave(self, session_id: str) -> None:
        self.bench.loop.submit(self.bench.caller.job(Forget(session_id)))

    @rule(session_id=st.sampled_from("abcde"))
    def wake(self, session_id: str) -> None:
        self.bench.loop.submit(self.bench.caller.job(Wake(generate(session_id, "Hello", "Hi", "More"))))

    @rule(refuses=st.booleans())
    def lose_states_or_not(self, refuses: bool) -> None:
        self.bench.backend.refuses_loads = refuses

    @rule(sequence=st.one_of(st.none(), st.integers(1, 3)))
    def break_or_mend(self, sequence: int | None) -> None:
        self.bench.backend.broken = set() if sequence is None else {sequence}

    @invariant()
    def account_is_exact_and_replies_are_sound(self) -> None:
        bench = self.bench
        assert max(bench.backend.batch_sizes) <= 48
        assert bench.loop.num_cached_tokens() == bench.physical_tokens() <= 600
        for request_id, request in self.asked.items():
            end = bench.caller.end(request_id)
            text = reply_of(prompt_of(request), request.max_tokens)
            assert text.startswith(bench.caller.text(request_id))
            if isinstance(end, GenerationEnded):
                assert bench.caller.text(request_id) == text

    def teardown(self) -> None:
        bench = self.bench
        bench.finish()
        assert all(bench.caller.end(request_id) is not None for request_id in bench.caller.replies)
        assert bench.backend.num_chains == 0
        for session_id in "abcde":
            bench.loop.submit(bench.caller.job(Forget(session_id)))
        assert bench.loop.num_cached_tokens() == bench.physical_tokens() == len(bench.backend.sequences[0])
        bench.loop.close()


TestManyCallers = ManyCallers.TestCase
TestManyCallers.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
