"""Scoring on a real PostgreSQL: what waits is found, and a review that comes while a verdict is stored stands."""

import threading
import time
from dataclasses import asdict

import pytest
from sqlalchemy import Connection, insert, select, text

from tests.fakes.postgres import postgres
from tests.fakes.records import NOW, a_call
from voicectl.governance.gate.facts import code_column, facts_of
from voicectl.governance.score.shelf import Which, apply_reviews, backlog, calls_to_score, store_verdict
from voicectl.governance.score.verdict import Score, Verdict
from voicectl.governance.store.location import PostgresServer
from voicectl.governance.store.store import Store, open_store
from voicectl.governance.store.tables import calls, scores

pytestmark = pytest.mark.integration

GOOD = Verdict((Score("resolved", "judge", 1.0),), {"resolved": True, "resolved_by": "judge", "score_state": "scored"})
FAILED = Verdict((Score("scoring", "judge", None, "failed", "no model"),), {"score_state": "failed"})
REVIEW = {"name": "resolved", "value": 0.0, "source": "human", "reviewer": "qa-1", "at": NOW}


def add(connection: Connection, *call_ids: str) -> None:
    connection.execute(insert(calls), [asdict(a_call(call_id)) for call_id in call_ids])


def put(connection: Connection, call_id: str, verdict: Verdict, at: float = NOW) -> str:
    return store_verdict(connection, call_id, verdict, judge_digest="j", rubric_version="1", at=at)


def waits_for_a_lock(store: Store) -> bool:
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE calls%'"
    )
    with store.read() as connection:
        return bool(connection.execute(waiting).scalar_one())


def test_postgresql_finds_what_waits_and_lets_reviews_stand() -> None:
    with postgres() as server, open_store(PostgresServer(server.url, server.password_file)) as store:
        with store.write() as connection:
            add(connection, "scored", "went-on", "failed", "pending", "reviewed")
            before = a_call().ended_at
            assert before is not None
            assert put(connection, "scored", GOOD) == "scored"
            assert put(connection, "scored", FAILED) == "kept"
            assert put(connection, "went-on", GOOD, at=before - 1) == "scored"
            assert put(connection, "failed", FAILED) == "failed"
            assert put(connection, "none", FAILED) == "gone"
        _waiting(store)
        _a_review_stands(store)


def _waiting(store: Store) -> None:
    choices: tuple[tuple[Which, set[str]], ...] = (
        ("recent", {"went-on", "pending", "reviewed"}),
        ("failed", {"went-on", "pending", "reviewed", "failed"}),
    )
    with store.read() as connection:
        for which, expected in choices:
            found = calls_to_score(connection, which=which, judge_digest="j", now=NOW, limit=9, after=None)
            assert {call_id for _, call_id in found} == expected
        assert (backlog(connection).pending, backlog(connection).failed) == (3, 1)
        codes = connection.execute(select(calls.c.call_id, code_column("low", ["faq"], {}, NOW, NOW)))
        assert {call_id for call_id, code in codes if facts_of(code)[1]["scored"]} == {"scored"}


def _a_review_stands(store: Store) -> None:
    def score() -> None:
        with store.write() as connection:
            put(connection, "reviewed", GOOD)

    scoring = threading.Thread(target=score)
    with store.write() as connection:
        connection.execute(insert(scores).values(call_id="reviewed", **REVIEW))
        apply_reviews(connection, "reviewed")
        scoring.start()
        ends_at = time.monotonic() + 20
        while not waits_for_a_lock(store) and time.monotonic() < ends_at:
            pass
    scoring.join(20)
    with store.read() as connection:
        call = connection.execute(calls.select().where(calls.c.call_id == "reviewed")).one()
    assert (call.score_state, call.resolved, call.resolved_by) == ("scored", False, "human")
