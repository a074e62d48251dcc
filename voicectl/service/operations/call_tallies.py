"""Tell `/metrics` what became of calls, from their records: what the generated alert rules read."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import structlog

from voicectl.core.errors import ConfigError
from voicectl.governance.alerts import metrics as names
from voicectl.governance.alerts.tallies import Key, nothing_yet, served_since, tallied
from voicectl.governance.policy.schema import Policy
from voicectl.governance.score.shelf import Records
from voicectl.service.operations.metrics import Metrics

log = structlog.get_logger(__name__)

EVERY_S: Final = 30.0
DOCUMENTATION: Final = {
    names.CONTAINMENT: "Calls by whether the agent alone settled them.",
    names.COMPLIANCE: "Calls by whether something was flagged.",
    names.TRANSFERS: "Attempted transfers by whether a person got the context in time.",
    names.WORDS: "Words of references.",
    names.WORD_ERRORS: "Errors against references.",
}
Sleep = Callable[[float], Awaitable[None]]


class CallTallies:
    """A task of the gateway that counts calls once they ended `defaults.max_staleness` of the policy ago.

    It also tells since when each use case has been served.

    Until then they may still be written, scored and completed by imports; what is unknown then counts as such.
    Calls that ended longer ago when it starts were counted before it, or by another gateway.
    """

    def __init__(
        self,
        records: Records,
        policy: Callable[[], Policy],
        *,
        sleep: Sleep = asyncio.sleep,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._records = records
        self._policy = policy
        self._sleep = sleep
        self._now = now
        self._counts: Counter[Key] = Counter()
        self._since: dict[Key, float] = {}
        self._until = self._settled()
        self._is_failing = False

    def tell(self, metrics: Metrics) -> None:
        """Let the metrics tell the counts; those of use cases that had no call yet are 0."""
        for name, labels in names.TO_EXPORT.items():
            metrics.watch_counter(name.removesuffix("_total"), DOCUMENTATION[name], partial(self._of, name), labels)
        since = "Start of the first call of a use case, Unix seconds."
        metrics.watch_gauge(names.SERVED_SINCE, since, lambda: dict(self._since), ("use_case", "tier"))

    async def run(self) -> None:
        """Count until cancelled."""
        while True:
            # First of all: a host that was never called gets its records while the models load.
            await self._sleep(EVERY_S)
            until = self._settled()
            if until > self._until:
                try:
                    counts, since = await asyncio.to_thread(self._read, self._until, until)
                except Exception as error:  # the edge of the task: calls go on, and these are counted later
                    expected = isinstance(error, ConfigError)
                    if not self._is_failing or not expected:
                        log.warning("calls_not_counted", error=str(error), exc_info=None if expected else error)
                    self._is_failing = True
                else:
                    self._counts += counts
                    self._since |= since
                    self._is_failing = False
                    self._until = until

    def _of(self, name: str) -> dict[tuple[str, ...], float]:
        counts = nothing_yet(self._policy())
        counts.update(self._counts)
        return {key[1:]: float(number) for key, number in counts.items() if key[0] == name}

    def _settled(self) -> float:
        return self._now() - self._policy().defaults.max_staleness

    def _read(self, since: float, until: float) -> tuple[Counter[Key], dict[Key, float]]:
        with self._records.read() as connection:
            return tallied(connection, since, until), served_since(connection, self._policy(), self._since)
