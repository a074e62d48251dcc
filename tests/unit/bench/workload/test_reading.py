"""Workload files: built-in ones hold, and a mistake is told by file and key."""

from pathlib import Path

import pytest

from voicectl.bench.workload.reading import WorkloadError, builtin_workloads, read_workload, workload_path

GOOD = """
name: mine
conversations:
  - name: one
    turns:
      - say: "Hello there."
"""


def refusal(path: Path, text: str) -> WorkloadError:
    path.write_text(text)
    with pytest.raises(WorkloadError) as refused:
        read_workload(path)
    assert refused.value.exit_code == 3
    assert str(path) in refused.value.message
    return refused.value


def test_four_workloads_are_built_in() -> None:
    assert sorted(builtin_workloads()) == ["barge-in", "long-call", "noisy", "short-faq"]


@pytest.mark.parametrize("name", ["barge-in", "long-call", "noisy", "short-faq"])
def test_built_in_workload_needs_no_recording_and_carries_its_name(name: str) -> None:
    file = read_workload(workload_path(name))
    assert file.name == name
    assert file.description
    assert not [turn for one in file.conversations for turn in one.turns if turn.audio is not None]


def test_file_of_ones_own_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    file = read_workload(workload_path(str(path)))
    assert file.conversations[0].turns[0].say == "Hello there."


def test_unknown_name_suggests_the_closest() -> None:
    with pytest.raises(WorkloadError, match="no workload is called 'short-fag'") as refused:
        workload_path("short-fag")
    assert refused.value.hint == "did you mean short-faq?"


def test_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match="no such workload file"):
        workload_path(str(tmp_path / "none.yaml"))


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        (GOOD + "pause: 3\n", "pause: unknown key", "did you mean pause_ms?"),
        (GOOD.replace("say:", "sya:"), "conversations.0.turns.0.sya: unknown key", "did you mean say?"),
        (
            GOOD + "      - say: Stop.\n        barge_in: {after: 3}\n",
            "conversations.0.turns.1.barge_in.after: unknown key",
            "did you mean after_ms?",
        ),
    ],
)
def test_unknown_key_names_its_place_and_the_closest_known_one(tmp_path: Path, text: str, key: str, hint: str) -> None:
    error = refusal(tmp_path / "mine.yaml", text)
    assert key in error.message
    assert hint in (error.hint or "")


@pytest.mark.parametrize(
    ("turn", "told"),
    [
        ('{say: "Hi.", audio: a.wav}', "exactly one of say, audio, dtmf, silence_ms, noise, not say and audio"),
        ("{name: nothing}", "not none of them"),
        ('{dtmf: "12", reference: twelve}', "reference belongs to words"),
        ("{dtmf: 12x}", "conversations.0.turns.0.dtmf: '12x' refused"),
        ("{say: '...'}", "holds nothing to say"),
        ('{say: "Stop.", barge_in: {after_ms: 500}}', "turns.0: barge_in needs a turn with words before it"),
        ("{noise: {kind: pink, duration_ms: 500}}", "conversations.0.turns.0.noise.kind"),
        ("{silence_ms: 1e9}", "conversations.0.turns.0.silence_ms"),
    ],
)
def test_turn_that_cannot_be_is_told(tmp_path: Path, turn: str, told: str) -> None:
    error = refusal(tmp_path / "mine.yaml", f"name: mine\nconversations:\n  - name: one\n    turns:\n      - {turn}\n")
    assert told in error.message


def test_every_mistake_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    error = refusal(tmp_path / "mine.yaml", GOOD + "pause: 3\nopening_ms: -1\n")
    assert "pause: unknown key" in error.message
    assert "opening_ms: -1 refused" in error.message


def test_two_conversations_of_one_name_are_refused(tmp_path: Path) -> None:
    again = GOOD + "  - name: one\n    turns: [{say: Bye.}]\n"
    assert "different names: one" in refusal(tmp_path / "mine.yaml", again).message
