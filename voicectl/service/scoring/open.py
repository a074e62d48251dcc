"""Make the background scoring that a profile asks for, and run it for as long as the gateway takes calls."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from voicectl.core.ports import LanguageModel
from voicectl.core.profile import Profile
from voicectl.governance.score.rubric import packaged_rubric
from voicectl.governance.score.shelf import Records
from voicectl.service.operations.metrics import Metrics
from voicectl.service.scoring.background import BackgroundScoring, tell_scoring
from voicectl.service.scoring.identity import digest_of, judge_limits
from voicectl.service.scoring.judge import LocalJudge
from voicectl.service.scoring.quiet import Quiet
from voicectl.service.scoring.scorer import Scorer

STOP_S: Final = 2.0
"""Time for the judge to let go of its request."""


def background_scoring(
    profile: Profile, records: Records | None, model: LanguageModel, quiet: Quiet
) -> BackgroundScoring | None:
    """Return the task that scores recorded calls, None when the profile wants none or records nothing."""
    if records is None or not profile.governance.scoring:
        return None
    rubric = packaged_rubric()
    judge = LocalJudge(model, rubric, digest=digest_of(profile, rubric), limits=judge_limits(profile))
    return BackgroundScoring(records, Scorer(records, judge), quiet)


class ScoringTask:
    """Background scoring, or none: from the moment the models are loaded until the gateway drains."""

    def __init__(
        self,
        scoring: BackgroundScoring | None,
        run: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self._scoring = scoring
        self._run = run
        self._task: asyncio.Task[None] | None = None
        self._is_over = False

    def tell(self, metrics: Metrics) -> None:
        """Let the metrics tell of it."""
        if self._scoring is not None:
            tell_scoring(metrics, self._scoring.health)

    def begin(self) -> None:
        """Start to score, unless it is over already."""
        if self._scoring is not None and not self._is_over:
            self._task = self._run(self._scoring.run())

    def stop(self) -> None:
        """Cancel the judge's request, and begin no other."""
        self._is_over = True
        if self._task is not None:
            self._task.cancel()

    async def ended(self) -> None:
        """Stop, and return when the judge has let go of the engine."""
        self.stop()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=STOP_S)
