"""Weeks of finished calls in a database, made from a seed: what reports and figures are tried on.

`python -m tests.fakes.call_history FILE.db [WEEKS] [CALLS_A_DAY]` writes a SQLite file.
"""

import random
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert

from voicectl.core.records import CallRow, TurnRow
from voicectl.governance.score.conversation import Conversation
from voicectl.governance.score.judgement import Judgement
from voicectl.governance.score.rubric import packaged_rubric
from voicectl.governance.score.shelf import store_verdict
from voicectl.governance.score.verdict import scored, unscorable
from voicectl.governance.store.location import SqliteFile
from voicectl.governance.store.store import open_store
from voicectl.governance.store.tables import calls, complaints, imports, scores, turns, violations

DAY_S = 86_400.0
UNTIL = 20_700 * DAY_S
"""2026-09-04, 00:00 UTC."""
USE_CASES = {"password_reset": "low", "order_status": "low", "faq": "low", "appointment_scheduling": "medium"}
RESOLVED = {"password_reset": 0.86, "order_status": 0.82, "faq": 0.72, "appointment_scheduling": 0.68}
QUESTIONS = {
    "password_reset": ["I cannot log in any more", "I forgot my password", "please reset my password"],
    "order_status": ["where is my order", "when does my parcel arrive", "has order five five one shipped"],
    "faq": ["when are you open on Sunday", "do you ship to Norway", "what is your return policy"],
    "appointment_scheduling": ["I need to move my appointment", "can I come on Friday", "book me in for next week"],
}
GAPS = [
    "do you have wheelchair access",
    "is there wheelchair access at the entrance",
    "can I pay with a gift card",
    "do you take gift cards",
    "what is the warranty on batteries",
]
FAILURES = ["misheard", "missing_knowledge", "tool_failed", "not_allowed", "wrong_answer"]
JUDGE = "a" * 64
NAME_HELLO = "Hello, this is the automated assistant."


@dataclass(slots=True)
class History:
    """Draws the calls. `weeks` end at `until`; the same seed makes the same calls."""

    weeks: int = 8
    a_day: int = 60
    until: float = UNTIL
    seed: int = 7

    def write(self, connection: Connection) -> int:
        """Insert everything and return how many calls there are."""
        draw = random.Random(self.seed)
        rubric = packaged_rubric()
        first = self.until - self.weeks * 7 * DAY_S
        num = 0
        for day in range(self.weeks * 7):
            for _ in range(max(1, round(self.a_day * draw.uniform(0.7, 1.3)))):
                num += 1
                started_at = first + day * DAY_S + draw.uniform(6, 22) * 3600
                drawn = _call(draw, f"call-{num:06d}", started_at, day / (self.weeks * 7))
                connection.execute(insert(calls).values(**asdict(drawn.call)))
                connection.execute(insert(turns), [asdict(turn) for turn in drawn.turns])
                if draw.random() < 0.02:
                    continue
                talk = Conversation(drawn.call, drawn.turns)
                at = (drawn.call.ended_at or started_at) + 60
                verdict = (
                    unscorable(talk, rubric, "the judge did not answer within 60 s")
                    if draw.random() < 0.01
                    else scored(talk, rubric, drawn.judgement)
                )
                store_verdict(
                    connection, drawn.call.call_id, verdict, judge_digest=JUDGE, rubric_version=rubric.version, at=at
                )
                self._afterwards(connection, draw, drawn)
        connection.execute(
            insert(violations).values(
                call_id=None, use_case="faq", kind="out_of_window_dial", at=self.until - 3 * DAY_S, detail="21:04 local"
            )
        )
        imported = {"kind": "complaints", "sha256": "c" * 64, "source": "made up", "num_rows": 0, "at": self.until}
        connection.execute(insert(imports).values(**imported))
        return num

    def _afterwards(self, connection: Connection, draw: random.Random, drawn: "Drawn") -> None:
        call = drawn.call
        ended_at = call.ended_at or call.started_at
        if call.escalated and draw.random() < 0.04:
            complaint = {"complaint_id": f"c-{call.call_id}", "call_id": call.call_id, "category": "had to repeat"}
            connection.execute(insert(complaints).values(**complaint, received_at=ended_at + 2 * DAY_S))
        if draw.random() < 0.05:
            for name, value in (("resolved", drawn.was_resolved), ("compliance_flagged", draw.random() < 0.02)):
                row = {"call_id": call.call_id, "name": name, "value": float(value), "source": "human"}
                connection.execute(insert(scores).values(**row, at=ended_at + DAY_S))


@dataclass(frozen=True, slots=True)
class Drawn:
    call: CallRow
    turns: tuple[TurnRow, ...]
    judgement: Judgement
    was_resolved: bool


def _call(draw: random.Random, call_id: str, started_at: float, progress: float) -> Drawn:
    use_case = draw.choices(list(USE_CASES), [4, 4, 3, 2])[0]
    was_resolved = draw.random() < RESOLVED[use_case] - 0.10 * (1 - progress)
    has_gap = not was_resolved and draw.random() < 0.4
    asks_human = not was_resolved and draw.random() < 0.5
    transferred = asks_human and draw.random() < 0.93
    warm = transferred and draw.random() < 0.96
    spoken = _turns(draw, call_id, use_case, has_gap=has_gap, asks_human=asks_human)
    handle_s = draw.uniform(40, 240)
    judged_resolved = was_resolved if draw.random() < 0.93 else not was_resolved
    call = CallRow(
        call_id,
        use_case,
        USE_CASES[use_case],  # type: ignore[arg-type]
        started_at,
        answered_at=started_at + 2,
        ended_at=started_at + 2 + handle_s,
        end_reason="transferred" if transferred else "caller-hung-up",
        caller_key=f"caller-{draw.randrange(4000):05d}",
        abandoned=draw.random() < 0.02,
        num_turns=len(spoken),
        escalated=asks_human,
        escalation_trigger="explicit_request" if asks_human else None,
        transfer_attempted=transferred,
        transfer_payload_digest="d" * 64 if warm else None,
        transfer_complete=True if warm else None,
        screen_pop_at=started_at + handle_s - 5 if warm else None,
        human_answer_at=started_at + handle_s if transferred else None,
        transfer_result=("succeeded" if draw.random() < 0.985 else "failed") if transferred else None,
        disclosure_s=draw.uniform(1, 4) if draw.random() < 0.995 else None,
        opted_out=None,
        audio_s=handle_s * 0.8,
        gpu_s=handle_s * 0.1,
        handle_s=handle_s,
        csat=float(draw.choices([1, 2, 3, 4, 5], [1, 1, 2, 6, 8])[0]) if draw.random() < 0.3 else None,
        cost=0.04 + handle_s * 0.001,
        deflected=not transferred,
    )
    judgement = Judgement(
        "The caller got an answer." if judged_resolved else "The caller did not get what they called for.",
        "completed" if judged_resolved else "not_completed",
        "none" if judged_resolved else ("missing_knowledge" if has_gap else draw.choice(FAILURES)),
        "appropriate" if transferred else ("needed" if asks_human else "not_needed"),
        ("misleading",) if draw.random() < 0.008 else (),
        draw.choice([0.5, 0.5, 0.0, 1.0]) if was_resolved else draw.choice([-0.5, 0.0, -1.0]),
    )
    return Drawn(call, spoken, judgement, was_resolved)


def _turns(draw: random.Random, call_id: str, use_case: str, *, has_gap: bool, asks_human: bool) -> tuple[TurnRow, ...]:
    lines: list[tuple[str | None, str]] = [(None, NAME_HELLO)]
    lines.append((draw.choice(QUESTIONS[use_case]), "Let me look that up for you."))
    if has_gap:
        lines.append((draw.choice(GAPS), "I am sorry, I do not have that information."))
    if asks_human:
        lines.append(("can I speak to a human please", "Of course, I am putting you through."))
    else:
        lines.append(("thank you that is all", "You are welcome. Goodbye."))
    found = []
    for number, (heard, reply) in enumerate(lines):
        v2v_s = None if heard is None else min(9.0, 0.45 * draw.lognormvariate(0.3, 0.35))
        errors: dict[str, Any] = {}
        if heard is not None and draw.random() < 0.05:
            words = len(heard.split())
            wrong = sum(draw.random() < 0.035 for _ in range(words))
            errors = {
                "wer_substitutions": wrong,
                "wer_deletions": 0,
                "wer_insertions": 0,
                "wer_words": words,
                "reference_kind": "human",
                "normaliser": "whisper-en-0.1.15",
            }
        found.append(TurnRow(call_id, number, v2v_s=v2v_s, transcript=heard, reply=reply, **errors))
    return tuple(found)


def main() -> None:
    path, *rest = sys.argv[1:]
    numbers = [int(text) for text in rest]
    with open_store(SqliteFile(Path(path))) as store, store.write() as connection:
        sys.stderr.write(f"{History(*numbers).write(connection)} calls in {path}\n")


if __name__ == "__main__":
    main()
