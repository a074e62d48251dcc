import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

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
from voicectl.engine.llm.loop import StepLoop
from voicectl.engine.messages import Failed, Forget, Forgotten, Generate, GenerationEnded, ReplyBody, Transcribe
from voicectl.engine.stage import Job


class Bench:
    """A loop on the fake model, with a caller."""

    def __init__(self, *, max_sessions: int = 3, context_tokens: int = 512) -> None:
        self.backend = FakeBackend()
        self.clock = StillClock()
        self.caller = Caller()
        self.loop: StepLoop = build_loop(
            self.backend, self.clock, max_sessions=max_sessions, context_tokens=context_tokens
        )

    def submit(self, request: Generate, *, priority: int = 0, deadline_at: float = 1000.0) -> int:
        job = self.caller.job(request, priority=priority, deadline_at=deadline_at)
        self.loop.submit(job)
        return job.request_id

    def finish(self) -> None:
        while self.loop.has_work():
            self.loop.step()

    def physical_tokens(self) -> int:
        """Tokens the backend holds, shared ones counted once as llama.cpp does."""
        prefix = self.backend.sequences[0]
        total = len(prefix)
        for sequence, tokens in self.backend.sequences.items():
            shared = 0
            while sequence and shared < min(len(prefix), len(tokens)) and prefix[shared] == tokens[shared]:
                shared += 1
            total += len(tokens) - shared if sequence else 0
        return total


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


def test_requests_of_one_session_run_one_after_another(bench: Bench) -> None:
    requests = [generate("a", f"Question {number}") for number in range(3)]
    ids = [bench.submit(request) for request in requests]
    bench.finish()
    for request_id, request in zip(ids, requests, strict=True):
        assert bench.caller.text(request_id) == reply_of(prompt_of(request), 8)


def test_a_session_too_many_is_rejected_and_idle_ones_are_evicted(bench: Bench) -> None:
    ids = [bench.submit(generate(session_id, "Hello", max_tokens=20)) for session_id in "abcd"]
    bench.loop.step()
    assert bench.caller.failed(ids[3]).kind == "rejected"
    assert "3 sequences" in bench.caller.failed(ids[3]).message
    bench.finish()
    late = bench.submit(generate("d", "Hello"))
    bench.finish()
    bench.caller.ended(late)


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
        self.bench = Bench()
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

    @rule(sequence=st.one_of(st.none(), st.integers(1, 3)))
    def break_or_mend(self, sequence: int | None) -> None:
        self.bench.backend.broken = set() if sequence is None else {sequence}

    @invariant()
    def account_is_exact_and_replies_are_sound(self) -> None:
        bench = self.bench
        assert max(bench.backend.batch_sizes) <= 48
        assert bench.loop.num_cached_tokens() >= bench.physical_tokens()
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
TestManyCallers.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
