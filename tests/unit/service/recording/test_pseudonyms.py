"""Hashes under a key stand for what may not be kept."""

from voicectl.service.recording.pseudonyms import caller_hash, id_hash


def test_one_caller_is_one_key_however_the_number_is_written() -> None:
    keyed = caller_hash(b"k" * 32)
    assert keyed("+49 (30) 12-34") == keyed("+49301234")
    assert keyed("+49301234") != caller_hash(b"x" * 32)("+49301234")


def test_an_id_is_one_id_and_no_digit_is_left_of_it() -> None:
    keyed = id_hash(b"k" * 32)
    assert keyed("item_4111") == keyed("item_4111") != keyed("item_4112")
    assert not any(char.isdigit() for char in keyed("item_4111"))
