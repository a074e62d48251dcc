"""Say why evidence does not fit what the audit log tells: another setup runs, or the clock was set back. Pure."""

from collections.abc import Iterator

from voicectl.governance.audit.verify import CLOCK_STEP_S
from voicectl.governance.gate.evidence import Evidence
from voicectl.governance.gate.ledger import Audited


def doubts(audited: Audited, evidence: Evidence | None, now: float) -> tuple[str, ...]:
    """Return the reasons, none where all fits. What the log never told of is not compared."""
    return tuple(_reasons(audited, evidence, now))


def _reasons(audited: Audited, evidence: Evidence | None, now: float) -> Iterator[str]:
    if audited.newest_at is not None and now < audited.newest_at - CLOCK_STEP_S:
        behind = audited.newest_at - now
        yield f"the clock is {behind:.0f} s behind the newest entry of the audit log: it was set back"
    for name, runs in (("configuration", audited.config), ("model", audited.model)):
        others = sorted(_of_another(evidence, name, runs)) if evidence is not None and runs is not None else []
        if others:
            yield f"the service runs another {name} than the evidence of {', '.join(others)} is of"


def _of_another(evidence: Evidence, name: str, runs: str | None) -> Iterator[str]:
    """Return the use cases whose calls in the window were answered by another setup than runs now.

    Prompts are not compared: a client may give its own instructions.
    """
    for one in evidence.use_cases:
        if one.setup is not None and one.num_window_calls:
            answered = one.setup.config if name == "configuration" else one.setup.model
            if answered != runs:
                yield one.use_case
