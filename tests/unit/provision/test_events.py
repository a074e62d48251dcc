"""Raw events of a play become typed ones; what nobody needs is left out."""

import pytest

from voicectl.provision.events import Phase, command_of, parse_event, parse_phase


@pytest.mark.parametrize(
    ("play", "phase"),
    [
        ("phase 4: place the release", Phase("place the release", 4)),
        ("Phase 12 :gate", Phase("gate", 12)),
        ("Tidy up", Phase("Tidy up")),
        ("", Phase("unnamed")),
    ],
)
def test_phase_is_read_from_the_name_of_a_play(play: str, phase: Phase) -> None:
    assert parse_phase(play) == phase


def test_finished_task_tells_host_and_change() -> None:
    raw = {"event": "runner_on_ok", "event_data": {"host": "a", "task": "Copy", "res": {"changed": True}}}
    event = parse_event(raw)
    assert event is not None
    assert (event.kind, event.host, event.task, event.changed) == ("task_ended", "a", "Copy", True)


def test_skipped_task_has_changed_nothing() -> None:
    event = parse_event({"event": "runner_on_skipped", "event_data": {"host": "a", "task": "Copy", "res": {}}})
    assert event is not None
    assert event.skipped
    assert not event.changed


def test_failed_task_is_no_change_even_if_its_module_says_so() -> None:
    raw = {"event": "runner_on_failed", "event_data": {"host": "a", "task": "x", "res": {"changed": True, "rc": 1}}}
    event = parse_event(raw)
    assert event is not None
    assert not event.changed


@pytest.mark.parametrize("raw", [{}, {"event": "verbose"}, {"event": "playbook_on_task_start", "event_data": {}}])
def test_event_that_nobody_needs_is_none(raw: dict[str, object]) -> None:
    assert parse_event(raw) is None


def test_event_without_a_result_has_an_empty_one() -> None:
    event = parse_event({"event": "runner_on_start", "event_data": {"host": "a", "task": "x"}})
    assert event is not None
    assert event.result == {}


def test_command_is_one_text_however_it_was_given() -> None:
    assert command_of({"cmd": ["python3", "-I", "x.pyz"]}) == "python3 -I x.pyz"
    assert command_of({"cmd": "true"}) == "true"
    assert command_of({}) == ""
