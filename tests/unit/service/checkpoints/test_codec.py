"""What is written is read again; what is not known in full is not read."""

import contextlib
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.checkpoint_store import conversation
from voicectl.core.events import Item, SessionSettings
from voicectl.service.checkpoints.codec import (
    UnreadableCheckpoint,
    UnwritableCheckpoint,
    decode,
    encode,
    newest_that_fit,
)

LIMIT = 65_536


def document(**changes: Any) -> dict[str, Any]:
    return msgspec.json.decode(encode(conversation(), max_bytes=LIMIT)) | changes


def refused(document: Any) -> str:
    with pytest.raises(UnreadableCheckpoint) as error:
        decode(msgspec.json.encode(document), max_bytes=LIMIT)
    return error.value.message


def test_a_conversation_comes_back_as_it_was() -> None:
    call = Item("item_f", "assistant", '{"day":"monday"}', kind="function_call", call_id="call_1", name="hours")
    output = Item("item_o", "tool", "9 to 5", kind="function_call_output", call_id="call_1")
    state = conversation(turns=3)
    state = replace(state, items=(*state.items, call, output))
    assert decode(encode(state, max_bytes=LIMIT), max_bytes=LIMIT) == state


@given(text=st.text(), owner=st.none() | st.text(), speed=st.none() | st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=50, deadline=None)
def test_any_text_comes_back(text: str, owner: str | None, speed: float | None) -> None:
    state = replace(
        conversation(owner=owner), items=(Item("item_1", "user", text),), settings=SessionSettings(speed=speed)
    )
    assert decode(encode(state, max_bytes=LIMIT), max_bytes=LIMIT) == state


def test_another_version_is_unreadable_and_named() -> None:
    assert "version 2" in refused(document(version=2))
    assert "version 0" in refused(document(version=0))


def test_unknown_fields_are_unreadable_at_every_depth() -> None:
    assert "tenant" in refused(document(tenant="a"))
    inner = document()
    inner["state"]["mood"] = "good"
    assert "mood" in refused(inner)
    deepest = document()
    deepest["state"]["settings"]["tools"][0]["strict"] = True
    assert "settings.tools.0.strict" in refused(deepest)


def test_a_missing_field_without_default_is_unreadable() -> None:
    short = document()
    del short["state"]["items"]
    assert "items" in refused(short)


@pytest.mark.parametrize(
    "encoded", [b"", b"null", b"[]", b"{", b"\xff\xfe", b'{"version":1}', b'{"version":"1"}', b"[" * 5000]
)
def test_what_is_no_record_is_unreadable(encoded: bytes) -> None:
    with pytest.raises(UnreadableCheckpoint):
        decode(encoded, max_bytes=LIMIT)


@given(cut=st.integers(min_value=0, max_value=400), noise=st.binary(max_size=20))
@settings(max_examples=100, deadline=None)
def test_damaged_records_are_unreadable_or_whole(cut: int, noise: bytes) -> None:
    encoded = encode(conversation(), max_bytes=LIMIT)
    damaged = encoded[:cut] + noise + encoded[cut + len(noise) :]
    with contextlib.suppress(UnreadableCheckpoint):
        decode(damaged, max_bytes=LIMIT)


def test_more_bytes_than_allowed_are_not_even_parsed() -> None:
    with pytest.raises(UnreadableCheckpoint, match="limit is 100"):
        decode(b" " * 101, max_bytes=100)


def test_the_oldest_entries_are_cut_first() -> None:
    state = conversation(turns=200)
    encoded = encode(state, max_bytes=4096)
    kept = decode(encoded, max_bytes=4096)
    assert len(encoded) <= 4096
    assert kept.items == state.items[-len(kept.items) :]
    assert len(kept.items) > 10
    assert kept.settings == state.settings


def test_an_output_whose_call_was_cut_goes_too() -> None:
    call = Item("item_f", "assistant", "x" * 5000, kind="function_call", call_id="call_1", name="hours")
    output = Item("item_o", "tool", "9 to 5", kind="function_call_output", call_id="call_1")
    last = Item("item_l", "assistant", "From nine.")
    kept = decode(encode(replace(conversation(), items=(call, output, last)), max_bytes=4096), max_bytes=4096)
    assert kept.items == (last,)


def test_one_entry_larger_than_all_leaves_none() -> None:
    state = replace(conversation(), items=(Item("item_1", "user", "x" * 9000),))
    assert decode(encode(state, max_bytes=4096), max_bytes=4096).items == ()


def test_settings_larger_than_all_are_refused() -> None:
    state = replace(conversation(), settings=SessionSettings(instructions="x" * 9000))
    with pytest.raises(UnwritableCheckpoint, match=r"9\d\d\d bytes without entries, the limit is 4096"):
        encode(state, max_bytes=4096)


def test_half_a_surrogate_pair_is_refused_without_quoting_it() -> None:
    state = replace(conversation(), items=(Item("item_1", "user", "secret \ud800"),))
    with pytest.raises(UnwritableCheckpoint) as error:
        encode(state, max_bytes=LIMIT)
    assert "secret" not in error.value.message


def test_newest_that_fit_counts_from_the_end() -> None:
    assert newest_that_fit([5, 5, 5], 10) == 2
    assert newest_that_fit([1, 50, 5], 10) == 1
    assert newest_that_fit([1, 1], 0) == 0
    assert newest_that_fit([], 10) == 0
