"""A language model of arithmetic: the next token is a checksum of all tokens before it."""

import ast
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from voicectl.core.errors import RequestRejected
from voicectl.core.events import Role
from voicectl.engine.llm.generation import DecodeOutcome, Entry, SamplingSettings
from voicectl.engine.llm.intake import Intake
from voicectl.engine.llm.loop import LoopLimits, StepLoop
from voicectl.engine.llm.metrics import LlmMetrics
from voicectl.engine.llm.parking import State
from voicectl.engine.llm.prompt import ChatTemplate, PromptBuilder
from voicectl.engine.llm.script import Line
from voicectl.engine.messages import Body, Failed, Generate, GenerationEnded, PromptMessage, ReplyBody, TextPiece
from voicectl.engine.stage import Job

START, END = 256, 257
MISSING = -1
"""A token that a loaded state lacks until it is shared."""
MARKERS = {"<|start|>": START, "<|end|>": END}


class ByteTokenizer:
    """A token a byte, and two control tokens."""

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        tokens: list[int] = []
        while text:
            marker = next((one for one in MARKERS if special and text.startswith(one)), None)
            tokens.extend([MARKERS[marker]] if marker else text[0].encode())
            text = text[len(marker) if marker else 1 :]
        return tokens

    def start_token(self) -> int | None:
        return None


def render(lines: Sequence[Line], offers: Sequence[str] = ()) -> str:
    body = "".join(f"<|start|>{line.role}\n{line.content}<|end|>\n" for line in lines)
    return f"{body}<|start|>assistant\n"


def next_token(tokens: Sequence[int]) -> int:
    checksum = zlib.crc32(repr(list(tokens)).encode())
    has_begun = all(ord("a") <= token <= ord("z") for token in tokens[-3:])
    return END if has_begun and checksum % 6 == 0 else ord("a") + checksum % 26


def reply_of(prompt: Sequence[int], max_tokens: int) -> str:
    """Return what the model answers when nothing disturbs it."""
    tokens, text = list(prompt), ""
    while len(text) < max_tokens and (token := next_token(tokens)) != END:
        tokens.append(token)
        text += chr(token)
    return text


class Words:
    def piece(self, token: int) -> bytes:
        return bytes([token]) if token < START else b""

    def ends_generation(self, token: int) -> bool:
        return token == END


@dataclass
class FakeChain:
    """Draws the model's own tokens; `constrain` makes it say a text and nothing more, None at its end."""

    backend: "FakeBackend"
    closed: bool = False
    forced: list[int] | None = None

    def sample(self, index: int) -> int | None:
        entry = self.backend.last_batch[index]
        assert entry.wants_logits
        held = self.backend.sequences[entry.sequence][: entry.position + 1]
        if self.forced is not None:
            return self.forced.pop(0) if self.forced else None
        if self.backend.says is not None:
            return self.backend.say(held)
        return next_token(held)

    def constrain(self, grammar: str) -> None:
        self.backend.grammars.append(grammar)
        if self.backend.refuses_grammars:
            raise RequestRejected("no such grammar")
        if self.backend.forced_text is not None:
            self.forced = list(self.backend.forced_text.encode())

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.backend.num_chains -= 1


@dataclass
class FakeBackend:
    """Sequences as lists; `broken` ones fail after half of their tokens were taken.

    Tokens below `shared` of a sequence lie in the cells of the prefix. `says` is what the model writes
    after every prompt instead of arithmetic, `forced_text` what it writes under a grammar.
    """

    num_cells: int = 100_000
    says: str | None = None
    forced_text: str | None = None
    refuses_grammars: bool = False
    refuses_loads: bool = False
    grammars: list[str] = field(default_factory=list)
    shared: dict[int, int] = field(default_factory=dict)
    broken: set[int] = field(default_factory=set)
    sequences: dict[int, list[int]] = field(default_factory=dict)
    last_batch: list[Entry] = field(default_factory=list)
    batch_sizes: list[int] = field(default_factory=list)
    num_chains: int = 0
    closed: bool = False
    vocabulary: Words = field(default_factory=Words)

    def sampler(self, settings: SamplingSettings) -> FakeChain:
        self.num_chains += 1
        return FakeChain(self)

    def decode(self, entries: Sequence[Entry]) -> DecodeOutcome:
        self.batch_sizes.append(len(entries))
        if self.num_taken() + len(entries) > self.num_cells:
            return DecodeOutcome.NO_SPACE
        fails = any(entry.sequence in self.broken for entry in entries)
        self.last_batch = list(entries[: len(entries) // 2] if fails else entries)
        for entry in self.last_batch:
            sequence = self.sequences.setdefault(entry.sequence, [])
            assert entry.position == len(sequence), "positions must follow each other"
            sequence.append(entry.token)
        return DecodeOutcome.FAILED if fails else DecodeOutcome.DONE

    def num_taken(self) -> int:
        """Cells in use, shared ones counted once as llama.cpp does."""
        return sum(len(tokens) - self.shared.get(sequence, 0) for sequence, tokens in self.sequences.items())

    def say(self, held: Sequence[int]) -> int:
        """Return the next token of `says`, which begins behind the last assistant header."""
        header = [START, *b"assistant\n"]
        begin = max(at for at in range(len(held)) if list(held[at : at + len(header)]) == header) + len(header)
        said = (self.says or "").encode()
        num_said = len(held) - begin
        return said[num_said] if num_said < len(said) else END

    def cut(self, sequence: int, length: int) -> int:
        del self.sequences.setdefault(sequence, [])[length:]
        self.shared[sequence] = min(self.shared.get(sequence, 0), length)
        return len(self.sequences[sequence])

    def share(self, source: int, target: int, length: int) -> None:
        held = self.sequences.setdefault(target, [])
        assert all(token is MISSING for token in held[:length])
        held[:length] = self.sequences[source][:length]
        self.shared[target] = length

    def save(self, sequence: int, start: int) -> State | None:
        held = self.sequences[sequence]
        assert start == self.shared.get(sequence, 0)
        return repr((start, held[start:])).encode()

    def load(self, sequence: int, state: State) -> bool:
        start, tokens = ast.literal_eval(bytes(state).decode())
        assert not self.sequences.get(sequence)
        if self.refuses_loads or self.num_taken() + len(tokens) > self.num_cells:
            return False
        self.sequences[sequence] = [MISSING] * start + tokens
        self.shared[sequence] = start
        return True

    def clear(self) -> None:
        self.sequences.clear()
        self.shared.clear()

    def close(self) -> None:
        self.closed = True


class StillClock:
    """A clock that a test turns by hand."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return self.at


def build_loop(
    backend: FakeBackend,
    clock: StillClock,
    *,
    hot_sessions: int = 3,
    context_tokens: int = 512,
    cache_tokens: int = 100_000,
    idle_tokens: int | None = None,
    parked_bytes: int = 0,
    registry: CollectorRegistry | None = None,
) -> StepLoop:
    limits = LoopLimits(hot_sessions, cache_tokens, 48, idle_tokens, parked_bytes)
    intake = Intake(PromptBuilder(ChatTemplate(render), ByteTokenizer()), context_tokens=context_tokens)
    loop = StepLoop(backend, intake, limits, clock, LlmMetrics(registry or CollectorRegistry()))
    loop.warm_up("Be brief.")
    return loop


def generate(session_id: str, *texts: str, max_tokens: int = 8, temperature: float = 0.0) -> Generate:
    """Return a request whose texts are a system prompt and then turns, the caller's first."""
    roles: list[Role] = ["system", *(["user", "assistant"] * len(texts))]
    messages = tuple(PromptMessage(role, text) for role, text in zip(roles, ("Be brief.", *texts), strict=False))
    return Generate(session_id, messages, max_tokens, temperature, top_p=0.95, top_k=40, seed=0)


def prompt_of(request: Generate) -> list[int]:
    """Return the prompt tokens of a request that fits its context."""
    return ByteTokenizer().tokenize(render([Line(one.role, one.content) for one in request.messages]), special=True)


@dataclass
class Caller:
    """Submits jobs and collects their replies."""

    replies: dict[int, list[ReplyBody]] = field(default_factory=dict)

    def job(self, body: Body, *, priority: int = 0, deadline_at: float = 1000.0) -> Job:
        request_id = len(self.replies) + 1
        self.replies[request_id] = []
        return Job(request_id, priority, deadline_at, body, self.replies[request_id].append)

    def text(self, request_id: int) -> str:
        return "".join(reply.text for reply in self.replies[request_id] if isinstance(reply, TextPiece))

    def end(self, request_id: int) -> ReplyBody | None:
        """Return the terminal reply; there must not be more than one, nor anything behind it."""
        terminal = [reply for reply in self.replies[request_id] if not isinstance(reply, TextPiece)]
        assert len(terminal) <= 1
        assert not terminal or self.replies[request_id][-1] is terminal[0]
        return terminal[0] if terminal else None

    def ended(self, request_id: int) -> GenerationEnded:
        end = self.end(request_id)
        assert isinstance(end, GenerationEnded)
        return end

    def failed(self, request_id: int) -> Failed:
        end = self.end(request_id)
        assert isinstance(end, Failed)
        return end
