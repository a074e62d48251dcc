"""Stop texts, however a text is cut into pieces."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from voicectl.service.rest.stops import StopScanner

LETTERS = st.text("ab", max_size=30)


def scanned(pieces: list[str], stops: list[str]) -> tuple[str, bool]:
    scanner = StopScanner(stops)
    shown = "".join(scanner.push(piece) for piece in pieces)
    return shown + scanner.flush(), scanner.stopped


@given(LETTERS, st.lists(st.integers(0, 30), max_size=6), st.lists(st.text("ab", min_size=1, max_size=4), max_size=4))
def test_the_text_ends_where_the_first_stop_text_is_complete_or_begins(
    text: str, cuts: list[int], stops: list[str]
) -> None:
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[start:end] for start, end in pairwise(places)]
    shown, stopped = scanned(pieces, stops)
    assert text.startswith(shown)
    assert not any(stop in shown for stop in stops)
    assert stopped is any(stop in text for stop in stops)
    if not stopped:
        assert shown == text
    else:
        assert any(text[len(shown) :].startswith(stop) for stop in stops)


def test_what_could_begin_a_stop_text_is_held_back_and_shown_once_it_cannot() -> None:
    scanner = StopScanner(["END"])
    assert scanner.push("the E") == "the "
    assert scanner.push("N") == ""
    assert scanner.push("ough") == "ENough"
    assert scanner.push(" EN") == " "
    assert scanner.flush() == "EN"
