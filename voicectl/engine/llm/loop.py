"""Take requests step by step from prompt to reply: schedule, run, sample, emit. Knows no threads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from voicectl.core.clock import Clock
from voicectl.core.errors import EngineError, RequestRejected
from voicectl.core.ports import FinishReason
from voicectl.engine.llm.cache import PREFIX_SEQUENCE, SequenceCache
from voicectl.engine.llm.generation import Chain, DecodeOutcome, Entry, Generation, SamplingSettings, Work
from voicectl.engine.llm.prompt import PromptBuilder
from voicectl.engine.llm.scheduler import DecodeStep, Scheduler, Step, WaitingLine
from voicectl.engine.messages import Failed, FailureKind, Forget, Forgotten, Generate, ReplyBody, TextPiece, Wake
from voicectl.engine.stage import Job

log = structlog.get_logger(__name__)


class Words(Protocol):
    """What the loop needs of a vocabulary."""

    def piece(self, token: int) -> bytes:
        """Return the bytes a token stands for; none for control tokens."""
        ...

    def ends_generation(self, token: int) -> bool:
        """Tell whether the model ends its reply with this token."""
        ...


class Backend(Protocol):
    """What the loop needs of a model; `runner.LlamaRunner` says what each method does."""

    @property
    def vocabulary(self) -> Words: ...
    def sampler(self, settings: SamplingSettings) -> Chain: ...
    def decode(self, entries: Sequence[Entry]) -> DecodeOutcome: ...
    def cut(self, sequence: int, length: int) -> int: ...
    def share(self, source: int, target: int, length: int) -> None: ...
    def clear(self) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class LoopLimits:
    """Bounds of the loop: tokens one session may hold, sessions, and prompt tokens a step."""

    context_tokens: int
    max_sessions: int
    prefill_tokens: int


class StepLoop:
    """All requests of one model. Every method belongs to the thread that owns the backend."""

    def __init__(self, backend: Backend, prompts: PromptBuilder, limits: LoopLimits, clock: Clock) -> None:
        self._backend = backend
        self._prompts = prompts
        self._limits = limits
        self._clock = clock
        self._cache = SequenceCache(limits.max_sessions)
        self._scheduler = Scheduler(prefill_tokens=limits.prefill_tokens)
        self._line = WaitingLine()
        self._generations: dict[int, Generation] = {}
        self._prefix: list[int] = []

    def warm_up(self, system_prompt: str) -> None:
        """Run the prefix that all sessions share, and one token more so that the first reply is not slow."""
        self._prefix = self._prompts.prefix(system_prompt)[: self._limits.context_tokens // 2]
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
        step = self._scheduler.next_step()
        if step is not None:
            self._run(self._works(step))

    def reset(self, message: str) -> None:
        """Fail all requests and begin with an empty cache, after an error of unknown extent."""
        self.fail_all("internal", message)
        self._cache = SequenceCache(self._limits.max_sessions)
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

    # --- admission ---------------------------------------------------------------------------

    def _enqueue(self, job: Job, body: Generate) -> None:
        context = self._limits.context_tokens
        try:
            sampling = SamplingSettings.of(body)
            if body.max_tokens < 1:
                raise RequestRejected(f"max_tokens is {body.max_tokens}, it must be at least 1")
            reply_room = min(body.max_tokens, context // 2)
            prompt = self._prompts.build(body.messages, context - reply_room)
        except RequestRejected as error:
            _deliver(job, Failed("rejected", error.message))
            return
        max_tokens = min(body.max_tokens, context - len(prompt))
        self._generations[job.request_id] = Generation(job, body.session_id, sampling, prompt, max_tokens)
        self._line.add(job.request_id, body.session_id, job.priority)

    def _admit(self) -> None:
        while (request_id := self._line.next_ready(self._cache.busy_sessions())) is not None:
            self._line.remove(request_id)
            generation = self._generations[request_id]
            lease = self._cache.acquire(generation.session_id, generation.prompt)
            if lease is None:
                text = f"all {self._limits.max_sessions} sequences of the language model are in use"
                self._fail(request_id, "rejected", text)
                continue
            generation.num_cached = lease.cached
            # Chain before cut: from here on a failure releases both.
            generation.chain = self._backend.sampler(generation.sampling)
            held = self._backend.cut(lease.sequence, lease.keep)
            if lease.share:
                self._backend.share(PREFIX_SEQUENCE, lease.sequence, lease.share)
            elif held < lease.keep:
                self._cache.cut(generation.session_id, held)
                generation.num_cached = held
            generation.num_run = generation.num_cached
            num_tokens = len(generation.prompt) - generation.num_cached
            self._scheduler.add(request_id, priority=generation.job.priority, num_tokens=num_tokens)

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
        outcome = self._backend.decode(entries)
        while outcome is DecodeOutcome.NO_SPACE and self._evict_idle():
            outcome = self._backend.decode(entries)
        if outcome is DecodeOutcome.DONE:
            last = -1
            for work in works:
                last += len(work.tokens)
                self._advance(work, last)
            return
        intact = [work for work in works if self._restore(work)]
        if len(works) > 1:
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
            Entry(token, start + index, sequence, wants_logits=work.draws and index == last)
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
        token = generation.chain.sample(index)
        vocabulary = self._backend.vocabulary
        if vocabulary.ends_generation(token):
            self._finish(generation, "stop")
            return
        generation.accept(token)
        if text := generation.text.feed(vocabulary.piece(token)):
            _deliver(generation.job, TextPiece(text))
        if generation.is_full():
            self._finish(generation, "length")

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
        self._empty(self._cache.forget(generation.session_id))

    def _evict_idle(self) -> bool:
        sequence = self._cache.evict_idle()
        self._empty(sequence)
        return sequence is not None

    def _empty(self, sequence: int | None) -> None:
        if sequence is not None:
            self._backend.cut(sequence, 0)

    # --- ending ------------------------------------------------------------------------------

    def _finish(self, generation: Generation, finish: FinishReason) -> None:
        self._release(generation)
        _deliver(generation.job, generation.ended(finish))

    def _fail(self, request_id: int, kind: FailureKind, message: str) -> None:
        generation = self._generations.get(request_id)
        if generation is not None:
            self._release(generation)
            _deliver(generation.job, Failed(kind, message))

    def _release(self, generation: Generation) -> None:
        del self._generations[generation.request_id]
        self._line.remove(generation.request_id)
        self._scheduler.remove(generation.request_id)
        if generation.chain is not None:
            generation.chain.close()
            generation.chain = None
            self._cache.release(generation.session_id)

    def _forget(self, session_id: str) -> None:
        of_session = [key for key, one in self._generations.items() if one.session_id == session_id]
        for request_id in of_session:
            self._fail(request_id, "cancelled", "its session was forgotten")
        self._empty(self._cache.forget(session_id))

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
