from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from voicectl.engine.llm.cache import PREFIX_SEQUENCE, SequenceCache, common_prefix

SESSIONS = st.sampled_from("abcdef")
PREFIX = [1, 2, 3, 4]
PROMPTS = st.one_of(
    st.lists(st.integers(1, 3), min_size=1, max_size=12),
    st.lists(st.integers(1, 3), min_size=1, max_size=8).map(lambda tail: PREFIX + tail),
)


def started(cache: SequenceCache, session_id: str, prompt: Sequence[int]) -> None:
    lease = cache.acquire(session_id, prompt)
    assert lease is not None
    cache.extend(session_id, prompt[lease.cached :])


def test_a_follow_up_keeps_what_it_shares_with_the_last_turn() -> None:
    cache = SequenceCache(2)
    started(cache, "a", [1, 2, 3])
    cache.extend("a", [9, 8])
    cache.release("a")
    lease = cache.acquire("a", [1, 2, 3, 9, 7, 7])
    assert lease is not None
    assert (lease.keep, lease.share, lease.cached) == (4, 0, 4)
    assert cache.tokens("a") == (1, 2, 3, 9)


def test_the_last_token_of_a_repeated_prompt_runs_again() -> None:
    cache = SequenceCache(1)
    started(cache, "a", [1, 2, 3])
    cache.release("a")
    lease = cache.acquire("a", [1, 2, 3])
    assert lease is not None
    assert lease.cached == 2


def test_a_new_session_begins_with_the_shared_prefix() -> None:
    cache = SequenceCache(2)
    cache.hold_prefix(PREFIX)
    lease = cache.acquire("a", [*PREFIX, 7])
    assert lease is not None
    assert (lease.keep, lease.share) == (0, 4)
    assert cache.num_tokens() == 4


def test_the_session_idle_for_longest_gives_way() -> None:
    cache = SequenceCache(2)
    for session_id in "ab":
        started(cache, session_id, [1, 2])
        cache.release(session_id)
    started(cache, "a", [1, 2])
    cache.release("a")
    started(cache, "c", [5])
    assert cache.tokens("b") == ()
    assert cache.tokens("a") == (1, 2)


def test_busy_sessions_are_never_evicted() -> None:
    cache = SequenceCache(2)
    started(cache, "a", [1])
    started(cache, "b", [1])
    assert cache.acquire("c", [1]) is None
    assert cache.acquire("a", [1]) is None
    assert cache.evict_idle() is None


@settings(deadline=None)
@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_common_prefix_is_the_longest(left: list[int], right: list[int]) -> None:
    length = common_prefix(left, right)
    assert left[:length] == right[:length]
    assert length == min(len(left), len(right)) or left[length] != right[length]


class CacheAgainstCells(RuleBasedStateMachine):
    """Carries out what the cache decides on cells that know their sequences, as llama.cpp has them."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = SequenceCache(3)
        self.cache.hold_prefix(PREFIX)
        self.cells: list[tuple[int, int, set[int]]] = [
            (position, token, {PREFIX_SEQUENCE}) for position, token in enumerate(PREFIX)
        ]
        self.busy: set[str] = set()

    def held(self, sequence: int) -> list[int]:
        return [token for _, token, owners in sorted(self.cells, key=lambda cell: cell[0]) if sequence in owners]

    def cut(self, sequence: int, length: int) -> None:
        for position, _, owners in self.cells:
            if position >= length:
                owners.discard(sequence)
        self.cells = [cell for cell in self.cells if cell[2]]

    def append(self, session_id: str, tokens: Sequence[int]) -> None:
        sequence = self.cache.sequence(session_id)
        start = len(self.held(sequence))
        self.cells.extend((start + index, token, {sequence}) for index, token in enumerate(tokens))
        self.cache.extend(session_id, tokens)

    @rule(session_id=SESSIONS, prompt=PROMPTS, reply=st.lists(st.integers(1, 3), max_size=4))
    def begin(self, session_id: str, prompt: list[int], reply: list[int]) -> None:
        lease = self.cache.acquire(session_id, prompt)
        if lease is None:
            assert session_id in self.busy or len(self.busy) == 3
            return
        self.busy.add(session_id)
        assert lease.sequence != PREFIX_SEQUENCE
        self.cut(lease.sequence, lease.keep)
        for position, _, owners in self.cells:
            if PREFIX_SEQUENCE in owners and position < lease.share:
                owners.add(lease.sequence)
        assert self.held(lease.sequence) == prompt[: lease.cached]
        assert lease.cached < len(prompt)
        self.append(session_id, prompt[lease.cached :] + reply)

    @rule(session_id=SESSIONS)
    def end(self, session_id: str) -> None:
        if session_id in self.busy:
            self.cache.release(session_id)
            self.busy.discard(session_id)

    @rule(session_id=SESSIONS, length=st.integers(0, 12))
    def shorten(self, session_id: str, length: int) -> None:
        if session_id in self.busy:
            self.cut(self.cache.sequence(session_id), length)
            self.cache.cut(session_id, length)

    @rule(session_id=SESSIONS)
    def forget(self, session_id: str) -> None:
        sequence = self.cache.forget(session_id)
        self.busy.discard(session_id)
        if sequence is not None:
            self.cut(sequence, 0)

    @rule()
    def evict(self) -> None:
        sequence = self.cache.evict_idle()
        if sequence is not None:
            self.cut(sequence, 0)

    @invariant()
    def account_is_exact(self) -> None:
        assert self.cache.busy_sessions() == self.busy
        assert self.held(PREFIX_SEQUENCE) == PREFIX
        assert self.cache.num_tokens() == len(self.cells)
        owners = set().union(*(cell[2] for cell in self.cells)) - {PREFIX_SEQUENCE}
        for session_id in "abcdef":
            if tokens := self.cache.tokens(session_id):
                sequence = self.cache.sequence(session_id)
                assert tuple(self.held(sequence)) == tokens
                owners.discard(sequence)
        assert not owners, "cells are left that no session holds"


TestCacheAgainstCells = CacheAgainstCells.TestCase
TestCacheAgainstCells.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
