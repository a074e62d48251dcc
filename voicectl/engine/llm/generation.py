"""One reply on its way: how it is drawn, which tokens are still to run, and the text so far."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple, Protocol

from voicectl.core.errors import RequestRejected
from voicectl.core.ports import FinishReason
from voicectl.engine.llm.calls import CallGrammar
from voicectl.engine.llm.reply import Reply
from voicectl.engine.messages import Generate, GenerationEnded
from voicectl.engine.stage import Job

_RANDOM_SEED: Final = 0xFFFFFFFF
"""llama.cpp takes this seed for "pick one yourself", which would make replies unrepeatable."""


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """How tokens are chosen; temperature 0 always takes the likeliest."""

    temperature: float
    top_p: float
    top_k: int
    seed: int

    @classmethod
    def of(cls, request: Generate) -> "SamplingSettings":
        """Return the settings of a request. Raises RequestRejected when they mean nothing."""
        if not (math.isfinite(request.temperature) and request.temperature >= 0):
            raise RequestRejected(f"temperature is {request.temperature}, it must be 0 or more")
        if not 0 < request.top_p <= 1:
            raise RequestRejected(f"top_p is {request.top_p}, it must be above 0 and at most 1")
        if request.top_k < 1:
            raise RequestRejected(f"top_k is {request.top_k}, it must be at least 1")
        return cls(request.temperature, request.top_p, request.top_k, request.seed % _RANDOM_SEED)


class DecodeOutcome(Enum):
    """What became of a batch."""

    DONE = "done"
    NO_SPACE = "no space"
    """No room in the cache; nothing changed."""
    FAILED = "failed"
    """Some sequences of the batch may have grown: cut them back."""


class Entry(NamedTuple):
    """One token of a batch: where it stands and whether the next token will be drawn from it."""

    token: int
    position: int
    sequence: int
    wants_logits: bool


class Chain(Protocol):
    """The samplers of one request."""

    def sample(self, index: int) -> int | None:
        """Return the next token after entry `index` of the batch decoded last; None if its grammar allows none."""
        ...

    def constrain(self, grammar: str) -> None:
        """Allow only what `grammar` does from the next token on. Raises RequestRejected for an unusable one."""
        ...

    def close(self) -> None:
        """Free the samplers; safe to call twice."""
        ...


@dataclass(slots=True)
class Generation:
    """A request with its prompt. `chain` is None until it is admitted to a sequence.

    `grammar` holds for the whole reply, `calls` from where it begins a function call.
    """

    job: Job
    session_id: str
    sampling: SamplingSettings
    prompt: Sequence[int]
    max_tokens: int
    reply: Reply
    grammar: str | None = None
    calls: CallGrammar | None = None
    chain: Chain | None = None
    num_cached: int = 0
    num_run: int = 0
    num_completed: int = 0
    next_token: int | None = None

    @classmethod
    def of_prompt(cls, job: Job, session_id: str, prompt: Sequence[int]) -> "Generation":
        """Return a request that is done once its prompt has run."""
        return cls(job, session_id, SamplingSettings(0.0, 1.0, 1, 0), prompt, max_tokens=0, reply=Reply(None))

    @property
    def is_prompt_only(self) -> bool:
        """Tell whether no reply is wanted."""
        return self.max_tokens == 0

    @property
    def request_id(self) -> int:
        """Return the id of the request."""
        return self.job.request_id

    def accept(self, token: int) -> None:
        """Take the token that was drawn: it is part of the reply and runs in the next step."""
        self.next_token = token
        self.num_completed += 1

    def is_full(self) -> bool:
        """Tell whether the reply has reached its length."""
        return self.num_completed >= self.max_tokens

    def ended(self, finish: FinishReason) -> GenerationEnded:
        """Return the terminal reply."""
        return GenerationEnded(
            finish=finish,
            prompt_tokens=len(self.prompt),
            cached_tokens=self.num_cached,
            completion_tokens=self.num_completed,
            tool_calls=(self.reply.call,) if self.reply.call else (),
        )


@dataclass(frozen=True, slots=True)
class Work:
    """What one step runs for one request; `draws` says whether a token of the reply follows."""

    generation: Generation
    tokens: tuple[int, ...]
    draws: bool
