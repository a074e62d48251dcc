from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from voicectl.engine.llm.cache import PREFIX_SEQUENCE, SequenceCache, Tenancy, common_prefix

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
    cache = SequenceCache(2, num_cells=100)
    started(cache, "a", [1, 2, 3])
    cache.extend("a", [9, 8])
    cache.release("a")
    lease = cache.acquire("a", [1, 2, 3, 9, 7, 7])
    assert lease is not None
    assert (lease.keep, lease.share, lease.cached) == (4, 0, 4)
    assert cache.tenancy("a") == Tenancy(1, (1, 2, 3, 9), 0)


def test_the_last_token_of_a_repeated_prompt_runs_again() -> None:
    cache = SequenceCache(1, num_cells=100)
    started(cache, "a", [1, 2, 3])
    cache.release("a")
    lease = cache.acquire("a", [1, 2, 3])
    assert lease is not None
    assert lease.cached == 2


def test_a_new_session_begins_with_the_shared_prefix() -> None:
    cache = SequenceCache(2, num_cells=100)
    cache.hold_prefix(PREFIX)
    lease = cache.acquire("a", [*PREFIX, 7])
    assert lease is not None
    assert (lease.keep, lease.share) == (0, 4)
    assert cache.num_tokens() == 4


def test_the_session_idle_for_longest_gives_way() -> None:
    cache = SequenceCache(2, num_cells=100)
    for session_id in "ab":
        started(cache, session_id, [1, 2])
        cache.release(session_id)
    cache.touch("a")
    assert cache.make_room("c", 5) == ("b",)
    assert cache.make_room("a", 5) == ()
    assert cache.longest_idle() == "b"


def test_busy_sessions_never_give_way() -> None:
    cache = SequenceCache(2, num_cells=100)
    started(cache, "a", [1])
    started(cache, "b", [1])
    assert cache.make_room("c", 1) is None
    assert cache.acquire("c", [1]) is None
    assert cache.acquire("a", [1]) is None
    assert cache.longest_idle() is None


def test_room_is_kept_for_the_replies_under_way() -> None:
    cache = SequenceCache(4, num_cells=100)
    cache.hold_prefix(PREFIX)
    started(cache, "idle", [7] * 30)
    cache.release("idle")
    assert cache.acquire("a", [8, 9], num_new=38) is not None
    assert cache.make_room("b", 26) == ()
    assert cache.make_room("b", 27) == ("idle",)
    assert cache.make_room("b", 56) == ("idle",)
    assert cache.make_room("b", 57) is None
    assert cache.make_room("idle", 56) == (), "its own tokens make room for themselves"


def test_idle_sessions_give_way_beyond_their_bound_but_for_the_last_used() -> None:
    cache = SequenceCache(4, num_cells=100, idle_cells=25)
    for session_id in "abc":
        started(cache, session_id, [ord(session_id)] * 10)
        cache.release(session_id)
    assert cache.surplus() == ("a",)
    alone = SequenceCache(4, num_cells=100, idle_cells=0)
    started(alone, "a", [1] * 10)
    assert alone.surplus() == ()
    alone.release("a")
    assert alone.surplus() == ()


def test_a_session_that_comes_back_holds_what_it_held() -> None:
    cache = SequenceCache(1, num_cells=100)
    cache.hold_prefix(PREFIX)
    assert cache.adopt("a", [*PREFIX, 7, 8], num_shared=4) == 1
    assert cache.num_tokens() == 6
    assert cache.adopt("b", [1], 0) is None
    assert cache.num_useful([*PREFIX, 7, 8], [*PREFIX, 7, 9]) == 1
    lease = cache.acquire("a", [*PREFIX, 7, 9])
    assert lease is not None
    assert lease.cached == 5
    assert cache.num_tokens() == 5


@settings(deadline=None)
@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_common_prefix_is_the_longest(left: list[int], right: list[int]) -> None:
    length = common_prefix(left, right)
    assert left[:length] == right[:length]
    assert length == min(len(left), len(right)) or left[length] != right[length]


NUM_CELLS = 60


class CacheAgainstCells(RuleBasedStateMachine):
    """Carries out what the cache decides on cells that know their sequences, as llama.cpp has them."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = SequenceCache(3, num_cells=NUM_CELLS, idle_cells=20)
        self.parked: dict[str, Tenancy] = {}
        self.promised: dict[str, int] = {}
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

    def park(self, session_id: str) -> None:
        tenancy = self.cache.tenancy(session_id)
        assert tenancy is not None
        self.parked[session_id] = tenancy
        sequence = self.cache.forget(session_id)
        assert sequence == tenancy.sequence
        self.cut(sequence, 0)

    def make_room(self, session_id: str, num_tokens: int) -> bool:
        victims = self.cache.make_room(session_id, num_tokens)
        if victims is None:
            needs_slot = self.cache.tenancy(session_id) is None and len(self.busy) == 3
            promised = sum(self.promised[one] for one in self.busy)
            assert needs_slot or len(PREFIX) + promised + num_tokens > NUM_CELLS, "it waits for nothing"
            return False
        for victim in victims:
            assert victim not in self.busy
            assert victim != session_id
            self.park(victim)
        assert self.cache.num_taken() <= NUM_CELLS
        return True

    def unpark(self, session_id: str) -> None:
        tenancy = self.parked.pop(session_id)
        sequence = self.cache.adopt(session_id, tenancy.tokens, tenancy.num_shared)
        assert sequence is not None
        own = enumerate(tenancy.tokens[tenancy.num_shared :], tenancy.num_shared)
        self.cells.extend((position, token, {sequence}) for position, token in own)
        self.share(sequence, tenancy.num_shared)

    def share(self, sequence: int, length: int) -> None:
        for position, _, owners in self.cells:
            if PREFIX_SEQUENCE in owners and position < length:
                owners.add(sequence)

    @rule(session_id=SESSIONS, prompt=PROMPTS, reply=st.lists(st.integers(1, 3), max_size=4), spare=st.integers(0, 30))
    def begin(self, session_id: str, prompt: list[int], reply: list[int], spare: int) -> None:
        num_new = len(reply) + spare
        if session_id in self.busy:
            assert self.cache.acquire(session_id, prompt) is None
            return
        parked = self.parked.get(session_id)
        if not self.make_room(session_id, max(len(prompt) + num_new, len(parked.tokens) if parked else 0)):
            return
        if parked is not None:
            self.unpark(session_id)
        lease = self.cache.acquire(session_id, prompt, num_new)
        assert lease is not None, "room was made"
        self.busy.add(session_id)
        self.promised[session_id] = len(prompt) + num_new
        assert lease.sequence != PREFIX_SEQUENCE
        self.cut(lease.sequence, lease.keep)
        self.share(lease.sequence, lease.share)
        assert self.held(lease.sequence) == prompt[: lease.cached]
        assert lease.cached < len(prompt)
        self.append(session_id, prompt[lease.cached :] + reply)

    @rule(session_id=SESSIONS)
    def wake(self, session_id: str) -> None:
        parked = self.parked.get(session_id)
        if parked is not None and self.make_room(session_id, len(parked.tokens)):
            self.unpark(session_id)

    @rule()
    def trim(self) -> None:
        for session_id in self.cache.surplus():
            assert session_id not in self.busy
            self.park(session_id)
        assert self.cache.surplus() == ()

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
        self.parked.pop(session_id, None)
        sequence = self.cache.forget(session_id)
        self.busy.discard(session_id)
        if sequence is not None:
            self.cut(sequence, 0)

    @invariant()
    def account_is_exact(self) -> None:
        assert self.cache.busy_sessions() == self.busy
        assert self.held(PREFIX_SEQUENCE) == PREFIX
        assert self.cache.num_tokens() == len(self.cells) <= self.cache.num_taken() <= NUM_CELLS
        owners = set().union(*(cell[2] for cell in self.cells)) - {PREFIX_SEQUENCE}
        for session_id in "abcdef":
            tenancy = self.cache.tenancy(session_id)
            assert (tenancy is not None) == (session_id in self.cache)
            if tenancy is not None:
                assert session_id not in self.parked
                assert tuple(self.held(tenancy.sequence)) == tenancy.tokens
                owners.discard(tenancy.sequence)
        assert not owners, "cells are left that no session holds"


TestCacheAgainstCells = CacheAgainstCells.TestCase
TestCacheAgainstCells.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
