"""Take requests step by step from prompt to reply: schedule, run, sample, emit. Knows no threads."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import structlog

from voicectl.core.clock import Clock
from voicectl.core.errors import EngineError, RequestRejected
from voicectl.core.ports import FinishReason, Priority
from voicectl.engine.llm.cache import PREFIX_SEQUENCE, SequenceCache
from voicectl.engine.llm.generation import Chain, DecodeOutcome, Entry, Generation, SamplingSettings, Work
from voicectl.engine.llm.intake import Intake
from voicectl.engine.llm.metrics import LlmMetrics, StepKind
from voicectl.engine.llm.parking import ParkedStates
from voicectl.engine.llm.residency import Memory, Residency
from voicectl.engine.llm.scheduler import DecodeStep, Scheduler, Step, WaitingLine
from voicectl.engine.messages import Failed, FailureKind, Forget, Forgotten, Generate, ReplyBody, TextPiece, Wake
from voicectl.engine.stage import Job

UNKNOWN_TOKENS: Final = 32
"""So many tokens of an expected prompt may be left to its request: the end of a reply and the template's markers."""

log = structlog.get_logger(__name__)


class Words(Protocol):
    """What the loop needs of a vocabulary."""

    def piece(self, token: int) -> bytes:
        """Return the bytes a token stands for; none for control tokens."""
        ...

    def ends_generation(self, token: int) -> bool:
        """Tell whether the model ends its reply with this token."""
        ...


class Backend(Memory, Protocol):
    """What the loop needs of a model; `runner.LlamaRunner` says what each method does."""

    @property
    def vocabulary(self) -> Words: ...
    def sampler(self, settings: SamplingSettings) -> Chain: ...
    def decode(self, entries: Sequence[Entry]) -> DecodeOutcome: ...
    def clear(self) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class LoopLimits:
    """Bounds of the loop.

    `hot_sessions` share `cache_tokens`, of which idle ones should keep at most `idle_tokens`; what does not
    fit is parked, up to `parked_bytes`. A step runs at most `prefill_tokens` of prompts.
    """

    hot_sessions: int
    cache_tokens: int
    prefill_tokens: int
    idle_tokens: int | None = None
    parked_bytes: int = 0


class StepLoop:
    """All requests of one model. Every method belongs to the thread that owns the backend."""

    def __init__(self, backend: Backend, intake: Intake, limits: LoopLimits, clock: Clock, metrics: LlmMetrics) -> None:
        self._backend = backend
        self._intake = intake
        self._limits = limits
        self._clock = clock
        self._metrics = metrics
        self._cache = SequenceCache(limits.hot_sessions, num_cells=limits.cache_tokens, idle_cells=limits.idle_tokens)
        self._parked = ParkedStates(limits.parked_bytes)
        self._residency = Residency(backend, self._cache, self._parked, metrics)
        self._scheduler = Scheduler(prefill_tokens=limits.prefill_tokens)
        self._line = WaitingLine()
        self._generations: dict[int, Generation] = {}
        self._prefix: list[int] = []
        self._watch()

    def warm_up(self, system_prompt: str) -> None:
        """Run the prefix that all sessions share, and one token more so that the first reply is not slow."""
        self._prefix = self._intake.prefix(system_prompt)
        self._load_prefix()
        probe = PREFIX_SEQUENCE + 1
        self._run_alone([Entry(self._prefix[-1], 0, probe, wants_logits=True)])
        self._backend.cut(probe, 0)

    def has_work(self) -> bool:
        """Tell whether another step is due."""
        return bool(self._generations)

    def submit(self, job: Job) -> None:
        """Take in a request, or answer it at once."""
        body = job.body
        if isinstance(body, Forget):
            self._forget(body.session_id)
            _deliver(job, Forgotten())
        elif isinstance(body, Wake):
            _deliver(job, Forgotten())
            self._wake(job, body.expected)
        elif not isinstance(body, Generate):
            _deliver(job, Failed("rejected", f"the language model cannot serve {type(body).__name__}"))
        elif job.request_id in self._generations:
            _deliver(job, Failed("rejected", f"request {job.request_id} is already in progress"))
        else:
            self._enqueue(job, body)

    def cancel(self, request_id: int) -> None:
        """Stop a request; unknown ones are ignored."""
        self._fail(request_id, "cancelled", f"request {request_id} was cancelled")

    def step(self) -> None:
        """Drop what is late, admit what can begin, and run the model once for what is due."""
        self._drop_late()
        self._admit()
        self._residency.trim()
        step = self._scheduler.next_step()
        if step is not None:
            self._run(self._works(step))

    def reset(self, message: str) -> None:
        """Fail all requests and begin with an empty cache, after an error of unknown extent."""
        self.fail_all("internal", message)
        for session_id in self._cache.sessions():
            self._cache.forget(session_id)
        self._backend.clear()
        self._load_prefix()

    def fail_all(self, kind: FailureKind, message: str) -> None:
        """End every request."""
        for request_id in list(self._generations):
            self._fail(request_id, kind, message)

    def num_cached_tokens(self) -> int:
        """Return how many tokens the cache holds."""
        return self._cache.num_tokens()

    def close(self) -> None:
        """End every request and free the model."""
        self.fail_all("cancelled", "the language model is stopping")
        self._backend.close()

    def _watch(self) -> None:
        watch = self._metrics.watch
        watch("running", "Requests that hold a sequence.", lambda: len(self._generations) - len(self._line))
        watch("waiting", "Requests that wait for their session, a sequence or cells.", lambda: len(self._line))
        watch("hot_sessions", "Sessions in the cache.", self._cache.num_sessions)
        watch("parked_sessions", "Sessions parked in memory.", lambda: len(self._parked))
        watch("parked_bytes", "Size of the parked sessions.", lambda: self._parked.num_bytes)
        watch("cache_tokens", "Tokens in the cache.", self._cache.num_tokens)

    # --- admission ---------------------------------------------------------------------------

    def _wake(self, job: Job, body: Generate) -> None:
        """Have the prompt that a session will ask with in its cache: bring it back, or compute it if it is gone."""
        session_id = body.session_id
        self._residency.wake(session_id)
        if any(one.session_id == session_id for one in self._generations.values()):
            return
        try:
            prompt = self._intake.generation(job, body).prompt
        except RequestRejected as error:
            log.debug("wake_refused", session_id=session_id, reason=error.message)
            return
        if len(prompt) - self._residency.num_known(session_id, prompt) > UNKNOWN_TOKENS:
            self._add(Generation.of_prompt(replace(job, priority=Priority.PARTIAL, emit=_nobody), session_id, prompt))

    def _overtake(self, session_id: str) -> None:
        """End the work on the prompt that a session was expected to ask with; what is done of it stays."""
        for one in [one for one in self._generations.values() if one.is_prompt_only and one.session_id == session_id]:
            self._release(one)

    def _add(self, generation: Generation) -> None:
        job = generation.job
        self._generations[job.request_id] = generation
        self._line.add(job.request_id, generation.session_id, job.priority, job.deadline_at)

    def _enqueue(self, job: Job, body: Generate) -> None:
        self._overtake(body.session_id)
        try:
            generation = self._intake.generation(job, body)
            self._check_grammar(generation)
        except RequestRejected as error:
            self._metrics.ended("rejected")
            _deliver(job, Failed("rejected", error.message))
            return
        self._add(generation)

    def _check_grammar(self, generation: Generation) -> None:
        """Try the grammar that the reply follows, or may follow later, so that a bad one is refused at once."""
        grammar = generation.grammar or (generation.calls.text() if generation.calls else None)
        if grammar is not None:
            chain = self._backend.sampler(generation.sampling)
            try:
                chain.constrain(grammar)
            finally:
                chain.close()

    def _admit(self) -> None:
        while (request_id := self._line.next_ready(self._cache.busy_sessions())) is not None:
            generation = self._generations[request_id]
            num_cached = self._residency.admit(generation.session_id, generation.prompt, generation.max_tokens)
            if num_cached is None:
                if self._give_way(generation):
                    continue
                if self._cache.busy_sessions():
                    return
                self._fail(
                    request_id, "rejected", f"the cache holds {self._limits.cache_tokens} tokens, too few for it"
                )
                continue
            self._line.begin(request_id, self._cache.busy_sessions())
            generation.chain = self._backend.sampler(generation.sampling)
            if generation.grammar is not None:
                generation.chain.constrain(generation.grammar)
            generation.num_cached = generation.num_run = num_cached
            num_tokens = len(generation.prompt) - num_cached
            job = generation.job
            self._scheduler.add(
                request_id,
                priority=job.priority,
                num_tokens=num_tokens,
                deadline_at=job.deadline_at,
                is_expected=generation.is_prompt_only,
            )
            self._metrics.admitted(num_cached, num_tokens)

    def _give_way(self, to: Generation) -> bool:
        """End work on an expected prompt, so that a request finds room; False when there is none to end."""
        expected = [one for one in self._generations.values() if one.is_prompt_only and one.chain is not None]
        yielding = to if to.is_prompt_only else next(iter(expected), None)
        if yielding is not None:
            self._release(yielding)
        return yielding is not None

    def _drop_late(self) -> None:
        now = self._clock.now()
        late = [key for key, generation in self._generations.items() if generation.job.deadline_at <= now]
        for request_id in late:
            done = self._generations[request_id].num_completed
            self._fail(request_id, "deadline", f"the deadline passed after {done} tokens of the reply")

    # --- running -----------------------------------------------------------------------------

    def _works(self, step: Step) -> list[Work]:
        if isinstance(step, DecodeStep):
            generations = [self._generations[request_id] for request_id in step.request_ids]
            return [Work(one, (one.next_token,), draws=True) for one in generations if one.next_token is not None]
        works = []
        for part in step.parts:
            one = self._generations[part.request_id]
            works.append(Work(one, tuple(one.prompt[one.num_run : one.num_run + part.num_tokens]), draws=part.is_last))
        return works

    def _run(self, works: Sequence[Work]) -> None:
        """Run a batch and draw from it. If the batch fails, each request runs alone; what fails alone, ends."""
        entries = [entry for work in works for entry in self._entries(work)]
        started_at = time.perf_counter()
        outcome = self._backend.decode(entries)
        while outcome is DecodeOutcome.NO_SPACE and self._residency.park_one():
            outcome = self._backend.decode(entries)
        if outcome is DecodeOutcome.DONE:
            kind: StepKind = "prefill" if works[0].generation.next_token is None else "decode"
            self._metrics.ran(kind, len(works), len(entries), time.perf_counter() - started_at)
            last = -1
            for work in works:
                last += len(work.tokens)
                self._advance(work, last)
            return
        intact = [work for work in works if self._restore(work)]
        if len(works) > 1:
            self._metrics.split()
            for work in intact:
                self._run([work])
        for work in intact if len(works) == 1 else ():
            self._end_broken(work.generation, outcome)

    def _entries(self, work: Work) -> list[Entry]:
        generation = work.generation
        sequence = self._cache.sequence(generation.session_id)
        start = generation.num_run
        last = len(work.tokens) - 1
        return [
            Entry(token, start + index, sequence, work.draws and index == last)
            for index, token in enumerate(work.tokens)
        ]

    def _advance(self, work: Work, index: int) -> None:
        generation = work.generation
        self._cache.extend(generation.session_id, work.tokens)
        generation.num_run += len(work.tokens)
        if generation.next_token is None:
            self._scheduler.prefilled(generation.request_id, len(work.tokens))
        if not work.draws or generation.chain is None:
            return
        if generation.is_prompt_only:
            self._release(generation)
            return
        token = generation.chain.sample(index)
        if token is None:
            self._fail(generation.request_id, "internal", "no token of the model fits the grammar of the reply")
            return
        vocabulary = self._backend.vocabulary
        if vocabulary.ends_generation(token):
            self._finish(generation, "stop")
            return
        generation.accept(token)
        self._speak(generation, vocabulary.piece(token))

    def _speak(self, generation: Generation, piece: bytes) -> None:
        """Pass on what a token adds to the reply, and end it where it has said all."""
        reply = generation.reply
        was_calling = reply.call_so_far is not None
        if words := reply.feed(piece):
            _deliver(generation.job, TextPiece(words))
        if reply.call is not None:
            self._finish(generation, "tool_calls")
        elif generation.is_full():
            self._finish(generation, "length")
        elif reply.call_so_far is not None and not was_calling:
            self._begin_call(generation, reply.call_so_far)

    def _begin_call(self, generation: Generation, start: str) -> None:
        if generation.calls is not None and generation.chain is not None and generation.grammar is None:
            generation.chain.constrain(generation.calls.text(start))

    def _restore(self, work: Work) -> bool:
        """Cut a sequence back to what it held before a failed batch; end its request if that cannot be done."""
        generation = work.generation
        held = self._backend.cut(self._cache.sequence(generation.session_id), generation.num_run)
        if held == generation.num_run:
            return True
        self._end_broken(generation, DecodeOutcome.FAILED)
        return False

    def _end_broken(self, generation: Generation, outcome: DecodeOutcome) -> None:
        if outcome is DecodeOutcome.NO_SPACE:
            self._fail(generation.request_id, "rejected", "the cache of the language model is full")
        else:
            self._fail(generation.request_id, "internal", f"the model failed at token {generation.num_run}")
        self._residency.forget(generation.session_id)

    # --- ending ------------------------------------------------------------------------------

    def _finish(self, generation: Generation, finish: FinishReason) -> None:
        if rest := generation.reply.rest():
            _deliver(generation.job, TextPiece(rest))
        self._release(generation)
        self._metrics.ended(finish)
        _deliver(generation.job, generation.ended(finish))

    def _fail(self, request_id: int, kind: FailureKind, message: str) -> None:
        generation = self._generations.get(request_id)
        if generation is not None:
            self._release(generation)
            self._metrics.ended(kind)
            _deliver(generation.job, Failed(kind, message))

    def _release(self, generation: Generation) -> None:
        del self._generations[generation.request_id]
        self._line.remove(generation.request_id)
        self._scheduler.remove(generation.request_id)
        if generation.chain is not None:
            generation.chain.close()
            generation.chain = None
            self._residency.release(generation.session_id)

    def _forget(self, session_id: str) -> None:
        of_session = [key for key, one in self._generations.items() if one.session_id == session_id]
        for request_id in of_session:
            self._fail(request_id, "cancelled", "its session was forgotten")
        self._residency.forget(session_id)

    def _load_prefix(self) -> None:
        size = self._limits.prefill_tokens
        for start in range(0, len(self._prefix), size):
            part = self._prefix[start : start + size]
            self._run_alone([Entry(token, start + index, PREFIX_SEQUENCE, False) for index, token in enumerate(part)])
        self._cache.hold_prefix(self._prefix)

    def _run_alone(self, entries: Sequence[Entry]) -> None:
        if self._backend.decode(entries) is not DecodeOutcome.DONE:
            raise EngineError(f"the language model cannot run {len(entries)} tokens of its own system prompt")


def _deliver(job: Job, reply: ReplyBody) -> None:
    """Send a reply. What a broken receiver raises must not reach the other requests."""
    try:
        job.emit(reply)
    except Exception:
        log.exception("reply_lost", request_id=job.request_id)


def _nobody(reply: ReplyBody) -> None:
    """Take what nobody waits for."""
