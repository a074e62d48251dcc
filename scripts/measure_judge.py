"""Measure the judge of a profile on the labelled calls of tests/data.

`python scripts/measure_judge.py [PROFILE] [KEY=VALUE…]` prints, question by question, how rules and judge
together and the judge alone agree with the labels. The set is small: it tells a useless judge from a useful
one, and no more.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.fakes.judged_calls import JudgedCall, judged_calls
from voicectl.core.config import load_profile
from voicectl.core.log import configure
from voicectl.governance.score.calibration import JudgeQuality, judge_quality
from voicectl.governance.score.judgement import Judgement
from voicectl.governance.score.rubric import packaged_rubric
from voicectl.governance.score.verdict import ESCALATION, FLAGGED, RESOLVED, scored
from voicectl.service.scoring.judge import Unjudgeable
from voicectl.service.scoring.offline import private_judge

Answers = dict[str, tuple[bool, bool]]


def answers(call: JudgedCall, judgement: Judgement) -> Answers:
    """Return the label and the answer, by question."""
    rows = {score.name: score.value for score in scored(call.conversation, packaged_rubric(), judgement).scores}
    pairs: Answers = {
        "flags, rules and judge": (call.compliance_flagged, rows[FLAGGED] == 1.0),
        "flags, judge alone": (call.compliance_flagged, bool(judgement.flags)),
        "escalation, rules and judge": (call.escalation_appropriate, rows[ESCALATION] == 1.0),
        "escalation, judge alone": (
            call.escalation_appropriate,
            judgement.escalation in ("appropriate", "not_needed"),
        ),
    }
    if rows[RESOLVED] is not None:
        pairs["resolved, judge"] = (call.resolved, rows[RESOLVED] == 1.0)
    return pairs


def line(name: str, quality: JudgeQuality) -> str:
    """Return one line of the table."""
    se, sp, kappa = quality.sensitivity, quality.specificity, quality.kappa
    shown = "none" if kappa is None else f"{kappa.value:+.2f} [{kappa.low:+.2f}, {kappa.high:+.2f}]"
    return f"{name:28} sensitivity {se.num:2}/{se.of:2}  specificity {sp.num:2}/{sp.of:2}  kappa {shown}"


async def main() -> None:
    """Judge every labelled call once."""
    configure(json=False, level="warning")
    profile = load_profile(sys.argv[1] if len(sys.argv) > 1 else None, overrides=sys.argv[2:])
    found: dict[str, list[tuple[bool, bool]]] = {}
    failures, times = [], []
    async with private_judge(profile, packaged_rubric()) as judge:
        for call in judged_calls():
            begun = time.monotonic()
            try:
                judgement = await judge.judge(call.conversation)
            except Unjudgeable as error:
                failures.append(f"{call.conversation.call.call_id}: {error.message}")
                continue
            times.append(time.monotonic() - begun)
            sys.stderr.write(f"{call.conversation.call.call_id} {judgement}\n")
            for name, pair in answers(call, judgement).items():
                found.setdefault(name, []).append(pair)
    for name, pairs in sorted(found.items()):
        print(line(name, judge_quality(name, pairs)))  # noqa: T201
    print(  # noqa: T201
        json.dumps({"judged": len(times), "failed": failures, "seconds_a_call": sorted(times)[len(times) // 2]})
    )


if __name__ == "__main__":
    asyncio.run(main())
