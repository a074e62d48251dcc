import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from voicectl.core import log


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers, root.level = before[0], before[1]


def test_json_events_are_one_line_each_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(json=True, level="info")
    structlog.get_logger().info("turn_ended", turn_id="t1")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        structlog.get_logger().exception("turn_failed")
    captured = capsys.readouterr()
    ended, failed = map(json.loads, captured.err.splitlines())
    assert (ended["event"], ended["turn_id"], ended["level"]) == ("turn_ended", "t1", "info")
    assert "ValueError: two" in failed["exception"]
    assert captured.out == ""


def test_events_for_people_go_to_stderr_without_colours(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(json=False, level="warning")
    structlog.get_logger().info("turn_ended")
    structlog.get_logger().warning("turn_failed", turn_id="t1")
    captured = capsys.readouterr()
    assert "turn_failed" in captured.err and "turn_id=t1" in captured.err
    assert "turn_ended" not in captured.err
    assert "\x1b" not in captured.err
    assert captured.out == ""


def test_warnings_of_libraries_join_in(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(json=True, level="info")
    logging.getLogger("some.package").warning("slow %s", "disk")
    logging.getLogger("some.package").info("chatter")
    logging.getLogger("some.package").warning("broken %d", "format")
    entries = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(entry["library"], entry["message"]) for entry in entries] == [
        ("some.package", "slow disk"),
        ("some.package", "broken %d"),
    ]


def test_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="loud"):
        log.configure(json=True, level="loud")
