"""`voicectl calls` on a database of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.recorded_call import events_of_call, identity, scribe, turn, written
from voicectl.cli.main import main
from voicectl.governance.audit.verify import entries
from voicectl.governance.store.location import DEFAULT_FILE, SqliteFile
from voicectl.governance.store.recording import CallRecords
from voicectl.governance.store.store import open_store
from voicectl.service.recording.scribe import Began, Noted


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VOICECTL_HOME", str(tmp_path))
    with open_store(SqliteFile(tmp_path / DEFAULT_FILE)) as store:
        for number in range(3):
            CallRecords(store).append(events_of_call(identity(f"sess_{number:024x}", started_at=1.76e9 + number)))
    return tmp_path


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(capsys.readouterr().out)
    return parsed


def test_calls_are_listed_newest_first(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calls", "list", "--json", "-n", "2"]) == 0
    listed = document(capsys)
    assert listed["total"] == 3
    assert [call["call_id"][-1] for call in listed["calls"]] == ["2", "1"]
    assert listed["calls"][0]["contained"] is None


def test_the_list_fits_into_80_columns(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calls", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert max(map(len, lines)) <= 80
    assert "order_status" in lines[1]


def test_filters_narrow(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calls", "list", "--json", "--since", "2025-10-09T08:53:21Z", "--outcome", "abandoned"]) == 0
    assert document(capsys)["total"] == 0
    assert main(["calls", "list", "--json", "--since", "2025-10-09T08:53:21Z", "--use-case", "order_status"]) == 0
    assert document(capsys)["total"] == 2


def test_one_call_is_shown_with_its_turns_and_events(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_id = f"sess_{1:024x}"
    assert main(["calls", "show", call_id, "--events", "--json"]) == 0
    shown = document(capsys)
    assert (len(shown["turns"]), len(shown["events"])) == (2, 6)
    assert main(["calls", "show", call_id, "--events"]) == 0
    assert "where is my order" in capsys.readouterr().out
    assert main(["calls", "show", "sess_none"]) == 2


def test_export_and_import_tell_what_they_did(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = home / "calls.csv"
    assert main(["calls", "export", "--out", str(out), "--json"]) == 0
    assert document(capsys) == {"file": str(out), "format": "csv", "calls": 3}
    outcomes = home / "outcomes.csv"
    outcomes.write_text(f"call_id,resolved\nsess_{1:024x},true\n")
    for already in (False, True):
        assert main(["calls", "import", "--kind", "outcomes", str(outcomes), "--json"]) == 0
        assert document(capsys)["already"] is already
    outcomes.write_text("call_id,resolved\nsess_9,true\n")
    assert main(["calls", "import", "--kind", "outcomes", str(outcomes)]) == 3
    assert "row 2: there is no call sess_9" in capsys.readouterr().err


def test_the_turns_of_calls_are_exported_with_what_their_call_is(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = home / "turns.jsonl"
    assert main(["calls", "export", "--what", "turns", "--format", "jsonl", "--out", str(out), "--json"]) == 0
    assert document(capsys) == {"file": str(out), "format": "jsonl", "turns": 6}
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["call_id"][-1], row["turn"]) for row in rows] == [(n, turn) for n in "012" for turn in (1, 2)]
    assert (rows[0]["use_case"], rows[0]["tier"], rows[0]["probe"]) == ("order_status", "low", False)
    assert rows[0]["v2v_s"] == pytest.approx(0.4)


def test_what_callers_say_cannot_steer_a_terminal(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = identity("sess_x")
    seen = [Noted(call, Began(), 0.0), *turn(call, 1, heard="hi \x1b]0;pwned\x07\x1b[2J \u202egnp", said="a\nb \x9b2J")]
    with open_store(SqliteFile(home / DEFAULT_FILE)) as store:
        CallRecords(store).append(written(scribe(), seen))
    assert main(["calls", "show", "sess_x"]) == 0
    shown = capsys.readouterr().out
    assert "hi \\x1b]0;pwned\\x07\\x1b[2J \\u202egnp" in shown
    assert "a\\nb \\x9b2J" in shown


def test_a_file_whose_name_is_no_text_is_imported(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = home / "bad\udcff.csv"
    for number, extra in enumerate(([], ["--json"])):
        outcomes.write_text(f"call_id,csat\nsess_{1:024x},{number}\n")
        assert main(["calls", "import", "--kind", "outcomes", str(outcomes), *extra]) == 0
    assert "bad\\udcff.csv" in capsys.readouterr().out


def test_an_export_that_is_ended_leaves_nothing_behind(home: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "from voicectl.cli.main import main\n"
        "from voicectl.governance.store import export\n"
        "export._calls = lambda *_: os.kill(os.getpid(), signal.SIGTERM)\n"
        "main(sys.argv[1:])\n"
    )
    before = sorted(home.iterdir())
    command = [sys.executable, "-c", program, "calls", "export", "--out", str(home / "big.csv")]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 143
    assert sorted(home.iterdir()) == before


CARD = "4111 1111 1111 1111"


def test_what_reviewers_wrote_is_redacted_before_any_byte_of_it_is_kept(home: Path) -> None:
    reviews = home / "reviews.jsonl"
    spoken = "and then four one one one, one one one one, one one one one, one one one one"
    row = {"call_id": f"sess_{1:024x}", "name": "resolved", "value": 0, "reviewer": "qa-1", "at": 1_760_000_100}
    text = f"the agent repeated {CARD} aloud, {spoken}, and never apologised"
    reviews.write_text(json.dumps({**row, "explanation": text, "label": f"pan {CARD}"}))
    assert main(["calls", "import", "--kind", "reviews", str(reviews)]) == 0
    reviews.unlink()
    kept = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    for secret in (b"1111 1111", b"1111111111", b"one one one one, one one one one"):
        assert secret not in kept
    assert b"the agent repeated [card number] aloud" in kept
    assert b"and never apologised" in kept


def test_without_a_redactor_no_explanation_is_kept(home: Path) -> None:
    reviews = home / "reviews.jsonl"
    row = {"call_id": f"sess_{1:024x}", "name": "resolved", "value": 0, "reviewer": "qa-1", "at": 1_760_000_100}
    reviews.write_text(json.dumps({**row, "explanation": "the agent was rude"}))
    assert main(["calls", "import", "--kind", "reviews", str(reviews), "--set", "redaction.enabled=false"]) == 0
    reviews.unlink()
    assert b"was rude" not in b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())


def test_a_call_in_progress_is_not_scored_and_no_model_is_started_for_it(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_store(SqliteFile(home / DEFAULT_FILE)) as store:
        CallRecords(store).append(events_of_call(identity("sess_live"))[:-1])
    assert main(["calls", "score", "--call", "sess_live"]) == 2
    told = capsys.readouterr().err
    assert "has not ended" in told
    assert "language model" not in told
    assert main(["calls", "score", "--call", "sess_none"]) == 2
    assert "there is no call" in capsys.readouterr().err


def test_pruning_tells_what_would_go(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["calls", "prune", "--dry-run", "--json", "--set", "governance.retention.transcripts_days=1"]
    assert main(command) == 0
    assert document(capsys)["texts"] == 3


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["list", "--since", "yesterday"], 2),
        (["list", "--tier", "extreme"], 2),
        (["list", "--set", "governance.url=mysql://x/y"], 3),
        (["list", "--set", "governance.url=sqlite:////nowhere/records.db"], 3),
        (["export", "--out", "/nowhere/calls.csv"], 3),
        (["export", "--out", "."], 3),
        (["export", "--out", "/"], 3),
        (["export", "--out", ""], 3),
        (["export", "--out", "/dev/null"], 3),
        (["import", "--kind", "outcomes", "/nowhere.csv"], 3),
        (["import", "--kind", "gossip", "x.csv"], 2),
    ],
)
def test_bad_input_is_told_with_its_exit_code(home: Path, arguments: list[str], status: int) -> None:
    assert main(["calls", *arguments]) == status


def test_a_reported_violation_is_told_to_the_audit_log(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = home / "violations.jsonl"
    path.write_text(json.dumps({"kind": "pan_in_log", "at": 1.76e9, "call_id": f"sess_{1:024x}", "detail": "in a log"}))
    for _ in range(2):
        assert main(["calls", "import", "--kind", "violations", str(path), "--json"]) == 0
        sha256 = document(capsys)["sha256"]
    told = [entry.body for entry in entries(home / "audit") if entry.kind == "violation_reported"]
    assert told == [
        {
            "violation": "pan_in_log",
            "happened_at": 1.76e9,
            "source": sha256,
            "call_id": f"sess_{1:024x}",
            "use_case": "order_status",
        }
    ]
