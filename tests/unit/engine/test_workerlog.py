import json

import structlog

from voicectl.engine.workerlog import KEPT_LINES, LINES_A_SECOND, WorkerLog


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def now(self) -> float:
        return self.now_s


def line(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def test_event_is_logged_as_itself_with_the_workers_name() -> None:
    with structlog.testing.capture_logs() as logs:
        WorkerLog("llm").take(line(event="stage_loaded", level="error", timestamp="then", stage="llm", worker="x"))
    assert logs == [{"event": "stage_loaded", "log_level": "error", "stage": "llm", "worker": "llm"}]


def test_anything_else_is_a_line() -> None:
    with structlog.testing.capture_logs() as logs:
        log = WorkerLog("llm")
        for text in (b"loading\n", b"", b"  \n", b"{not json", b'{"no": "name"}', b"\xff\xfe"):
            log.take(text)
    assert [entry["line"] for entry in logs] == ["loading", "{not json", '{"no": "name"}', "��"]


def test_unknown_level_and_odd_fields_do_no_harm() -> None:
    with structlog.testing.capture_logs() as logs:
        WorkerLog("llm").take(line(event=5, level=["x"]))
    assert logs == [{"event": "5", "log_level": "info", "worker": "llm"}]


def test_flood_is_counted_not_logged() -> None:
    clock = Clock()
    with structlog.testing.capture_logs() as logs:
        log = WorkerLog("llm", clock)
        for _ in range(LINES_A_SECOND + 50):
            log.take(b"again")
        clock.now_s = 1.0
        log.take(b"later")
    assert len(logs) == LINES_A_SECOND + 2
    assert (logs[-2]["event"], logs[-2]["count"]) == ("worker_lines_dropped", 50)
    assert logs[-1]["line"] == "later"


def test_tail_keeps_the_latest_lines_for_people() -> None:
    log = WorkerLog("llm")
    with structlog.testing.capture_logs():
        for number in range(KEPT_LINES + 5):
            log.take(f"line {number}".encode())
        log.take(line(event="load_failed", level="error", exception="Traceback…\nValueError: bad magic"))
        log.take(line(event="stage_loaded", stage="llm"))
    assert len(log.tail()) == KEPT_LINES
    assert log.tail()[-3:] == ["line 24", "load_failed: ValueError: bad magic", "stage_loaded stage=llm"]
