"""Compare the decoding of the language-model stage with a bare llama_decode loop of the same shape.

    python scripts/bench_decode.py [--profile cpu] [--batches 1,8,16] [--context 200] [--steps 10] [--rounds 3]
        [--native-sampler]

Both run in one process on one context, in turns, with the same sequences, positions and greedy sampling;
the bare loop fills a batch, decodes it and samples, nothing else. Only the ratio means anything on a busy host.
`own us` is what a step of the stage takes apart from filling and decoding its batch: scheduling, sampling, text.
"""

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry

from voicectl.core.clock import MonotonicClock
from voicectl.core.config import load_profile
from voicectl.core.lockfile import read_lock
from voicectl.core.paths import store_path
from voicectl.engine.llm.generation import DecodeOutcome, Entry, SamplingSettings
from voicectl.engine.llm.intake import Intake
from voicectl.engine.llm.loop import LoopLimits, StepLoop
from voicectl.engine.llm.metrics import LlmMetrics
from voicectl.engine.llm.native import native
from voicectl.engine.llm.prompt import PromptBuilder
from voicectl.engine.llm.requantise import requantised
from voicectl.engine.llm.runner import LlamaRunner, RunnerSettings
from voicectl.engine.llm.stage import model_file
from voicectl.engine.llm.template import chat_template
from voicectl.engine.messages import Failed, Forget, Generate, PromptMessage, ReplyBody
from voicectl.engine.stage import Job
from voicectl.weights.store import Store

REPOSITORY = Path(__file__).parent.parent
MAX_BATCH = 64
MAX_REPLY = 400
BLOCKS = 6
"""Times a round changes between both ways, so that a busy host disturbs both alike."""


class EndlessWords:
    """A vocabulary under which no reply ends before its length."""

    def __init__(self, runner: LlamaRunner) -> None:
        self._vocabulary = runner.vocabulary

    def piece(self, token: int) -> bytes:
        """Return the bytes a token stands for."""
        return self._vocabulary.piece(token)

    def ends_generation(self, token: int) -> bool:
        """Return False."""
        return False


class EndlessRunner(LlamaRunner):
    """A runner whose replies do not end; it lends its context to the bare loop."""

    native_s = 0.0
    """Seconds spent in llama_decode."""

    def decode(self, entries: Sequence[Entry]) -> DecodeOutcome:
        """Run the model over a batch."""
        started_at = time.perf_counter()
        outcome = super().decode(entries)
        self.native_s += time.perf_counter() - started_at
        return outcome

    def endless(self) -> "EndlessRunner":
        """Let no token end a reply from now on."""
        self.vocabulary = EndlessWords(self)  # type: ignore[assignment]  # it has all that the loop needs
        return self

    @property
    def context(self) -> object:
        """Return llama.cpp's context."""
        return self._context


class BareLoop:
    """The least Python there can be around llama_decode."""

    def __init__(self, runner: EndlessRunner, *, native_sampler: bool) -> None:
        """Without `native_sampler` tokens are chosen as the stage does, which is faster."""
        chain = runner.sampler(SamplingSettings(temperature=0.0, top_p=1.0, top_k=1, seed=0))
        self._sample = self._sample_natively if native_sampler else chain.sample
        self._context = runner.context
        self._batch = native.llama_batch_init(MAX_BATCH, 0, 1)
        self._sampler = native.llama_sampler_chain_init(native.llama_sampler_chain_default_params())
        native.llama_sampler_chain_add(self._sampler, native.llama_sampler_init_greedy())

    def _sample_natively(self, index: int) -> int:
        return int(native.llama_sampler_sample(self._sampler, self._context, index))

    def run(self, positions: Sequence[int], num_steps: int) -> float:
        """Decode `num_steps` tokens of the sequences 1, 2, … from these positions on and return the seconds."""
        batch, context, sample = self._batch, self._context, self._sample
        size = len(positions)
        tokens = [1] * size
        started_at = time.perf_counter()
        for step in range(num_steps):
            for index in range(size):
                batch.token[index] = tokens[index]
                batch.pos[index] = positions[index] + step
                batch.n_seq_id[index] = 1
                batch.seq_id[index][0] = index + 1
                batch.logits[index] = 1
            batch.n_tokens = size
            if native.llama_decode(context, batch) != 0:
                raise SystemExit("llama_decode failed")
            for index in range(size):
                tokens[index] = sample(index) or 0
        return time.perf_counter() - started_at


class Bench:
    """One model, decoded both ways."""

    def __init__(
        self, runner: EndlessRunner, bare: BareLoop, *, batch_tokens: int, context_tokens: int, cells: int
    ) -> None:
        vocabulary = runner.vocabulary
        template = chat_template(runner.template(), start_text=vocabulary.start_text(), end_text=vocabulary.end_text())
        intake = Intake(PromptBuilder(template, vocabulary), context_tokens=context_tokens)
        limits = LoopLimits(hot_sessions=MAX_BATCH, cache_tokens=cells, prefill_tokens=batch_tokens)
        self.runner = runner
        self.loop = StepLoop(runner.endless(), intake, limits, MonotonicClock(), LlmMetrics(CollectorRegistry()))
        self.loop.warm_up("You are a helpful phone agent.")
        self.bare = bare
        self._num_requests = 0

    def round(self, batch: int, num_words: int, num_steps: int) -> tuple[float, float, float]:
        """Return the seconds a step of the stage, of the stage apart from decoding, and of the bare loop.

        They run in turns on the same sequences.
        """
        replies: list[list[ReplyBody]] = [[] for _ in range(batch)]
        first = self._num_requests + 1
        for number, received in enumerate(replies):
            self._submit(Generate(f"s{number}", _prompt(num_words), MAX_REPLY, 0.0, 0.95, 40, 0), received.append)
        while not all(replies):
            self.loop.step()
        staged = bare = 0.0
        self.runner.native_s = 0.0
        for _ in range(BLOCKS):
            positions = self._lengths(batch)
            started_at = time.perf_counter()
            for _ in range(num_steps):
                self.loop.step()
            staged += time.perf_counter() - started_at
            ends = self._lengths(batch)
            bare += self._bare_from(positions, ends, num_steps)
        if any(isinstance(reply, Failed) for received in replies for reply in received):
            raise SystemExit("a request failed")
        for request_id in range(first, first + batch):
            self.loop.cancel(request_id)
        for number in range(batch):
            self._submit(Forget(f"s{number}"), replies[number].append)
        num_all = num_steps * BLOCKS
        return staged / num_all, (staged - self.runner.native_s) / num_all, bare / num_all

    def _bare_from(self, positions: Sequence[int], ends: Sequence[int], num_steps: int) -> float:
        """Run the bare loop where the stage has just run, and leave the sequences as long as they were."""
        for index, position in enumerate(positions):
            self.runner.cut(index + 1, position)
        seconds = self.bare.run(positions, num_steps)
        if self._lengths(len(ends)) != list(ends):
            raise SystemExit("both ways must run the same number of tokens")
        return seconds

    def _submit(self, body: Generate | Forget, emit: Callable[[ReplyBody], None]) -> None:
        self._num_requests += 1
        self.loop.submit(Job(self._num_requests, 0, time.monotonic() + 600.0, body, emit))

    def _lengths(self, batch: int) -> list[int]:
        return [self.runner.length(sequence) for sequence in range(1, batch + 1)]


def _prompt(num_words: int) -> tuple[PromptMessage, ...]:
    return (PromptMessage("system", "You are a helpful phone agent."), PromptMessage("user", "word " * num_words))


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="cpu")
    parser.add_argument("--batches", default="1,8,16")
    parser.add_argument("--context", type=int, default=200)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--native-sampler", action="store_true", help="let the bare loop use llama.cpp's own sampler")
    options = parser.parse_args()
    profile = load_profile(options.profile)
    llm = profile.llm
    pin = read_lock(REPOSITORY / "models.lock").model(profile.models.llm)
    path = model_file(Store(store_path()).verified_root(pin))
    batches = [int(one) for one in options.batches.split(",")]
    cells = (max(batches) + 1) * (options.context + BLOCKS * options.steps + MAX_REPLY)
    settings = RunnerSettings(
        num_sequences=MAX_BATCH + 1,
        cache_tokens=cells,
        batch_tokens=max(llm.prefill_tokens, MAX_BATCH),
        threads=llm.threads,
        gpu_layers=llm.gpu_layers if any(one.device == "cuda" for one in profile.workers) else 0,
        gpu_index=0,
        kv_type="f16",
    )
    with contextlib.ExitStack() as stack:
        if llm.requantise is not None:
            path = stack.enter_context(requantised(path, llm.requantise, llm.threads))
        runner = EndlessRunner(path, settings)
    bench = Bench(
        runner,
        BareLoop(runner, native_sampler=options.native_sampler),
        batch_tokens=llm.prefill_tokens,
        context_tokens=options.context + 2 * MAX_REPLY,
        cells=cells,
    )
    write = sys.stdout.write
    write("batch  stage ms  bare ms  stage tok/s  bare tok/s  ratio  own us  range of ratios\n")
    for batch in batches:
        rounds = [bench.round(batch, options.context, options.steps) for _ in range(options.rounds)]
        ratios = sorted(bare / staged for staged, _, bare in rounds)
        staged, own, bare = (statistics.median(column) for column in zip(*rounds, strict=True))
        ratio = statistics.median(ratios)
        write(f"{batch:>5} {staged * 1e3:>9.2f} {bare * 1e3:>8.2f} {batch / staged:>12.0f}")
        write(f" {batch / bare:>11.0f} {ratio:>6.3f} {own * 1e6:>7.0f}  {ratios[0]:.3f}-{ratios[-1]:.3f}\n")


if __name__ == "__main__":
    main()
