from voicectl.engine.llm.parking import ParkedStates


def test_what_was_parked_longest_ago_is_dropped_first() -> None:
    parked = ParkedStates(10)
    assert [parked.put(name, [1], 0, b"xxxx") for name in "abc"] == [0, 0, 1]
    assert [name in parked for name in "abc"] == [False, True, True]
    assert (len(parked), parked.num_bytes) == (2, 8)


def test_parking_again_replaces_and_counts_as_new() -> None:
    parked = ParkedStates(10)
    parked.put("a", [1], 0, b"xxxx")
    parked.put("b", [1], 0, b"xxxx")
    parked.put("a", [1, 2], 1, b"xx")
    assert parked.put("c", [1], 0, b"xxxxx") == 1
    assert "b" not in parked
    taken = parked.take("a")
    assert taken is not None
    assert (taken.tokens, taken.num_shared) == ((1, 2), 1)
    assert parked.take("a") is None
    assert parked.num_bytes == 5


def test_a_state_larger_than_all_room_is_dropped_alone() -> None:
    parked = ParkedStates(10)
    parked.put("a", [1], 0, b"xxxx")
    assert parked.put("b", [1], 0, b"x" * 11) == 1
    assert "a" in parked
    assert "b" not in parked


def test_no_room_parks_nothing_and_unknown_sessions_are_ignored() -> None:
    parked = ParkedStates(0)
    parked.put("a", [1], 0, b"x")
    parked.forget("a")
    assert (len(parked), parked.num_bytes, parked.peek("a")) == (0, 0, None)
