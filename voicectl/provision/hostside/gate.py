"""The gate: a release answers the golden call, in a unit of its own before the switch, in the real one behind it."""

import time
from dataclasses import dataclass, field
from typing import Any, Final

from .call import Line, make_call, read_key
from .faults import ReleaseError, TaskFailed, UseCaseClosed
from .golden import Judgement, judge, read_expectation
from .layout import Layout
from .placing import Placing
from .settings import UNIT, read_settings
from .units import Units

TRIES: Final = 3
"""A candidate shares the host with live calls: a bad call or two may be bad luck, three are not."""
PAUSE_S: Final = 1.0
DRAIN_S: Final = 60.0
"""How much longer than a start a restart may take: live calls end first."""
GATE_UNITS: Final = "voicectl-gate@*.service"


@dataclass(frozen=True, slots=True)
class GateReport:
    """What a gate saw. `reason` is None when the release passed."""

    reason: str | None
    figures: dict[str, Any] = field(default_factory=dict)


class Gate:
    """The gates of one host."""

    def __init__(self, layout: Layout, units: Units, placing: Placing) -> None:
        self._layout = layout
        self._units = units
        self._placing = placing

    def candidate(self, release_id: str) -> GateReport:
        """Start a release beside the one that serves, in the same sandbox, call it, and stop it."""
        unit = f"voicectl-gate@{release_id}.service"
        began_at = time.monotonic()
        self.clear()
        try:
            self._placing.place_gate(release_id)
            settings = read_settings(self._layout.release(release_id) / "system")
            reason = self._units.start(unit, settings.ready_s)
            ready_s = round(time.monotonic() - began_at, 2)
            if reason is not None:
                return GateReport(reason, {"ready_s": ready_s})
            report = self._call(release_id, settings.gate_url)
            return GateReport(report.reason, {"ready_s": ready_s, **report.figures})
        except (ReleaseError, OSError) as error:
            return GateReport(str(error))
        finally:
            self.clear()

    def serving(self, release_id: str) -> GateReport:
        """Call the service on its real address. Another release than the wanted one does not pass."""
        state = self._units.state(UNIT)
        if state.active != "active":
            return GateReport(f"{UNIT} is {state.active}, {state.result}")
        running = self._units.running_release(UNIT)
        if running not in (None, release_id):
            return GateReport(f"{UNIT} runs {running}, not {release_id}")
        try:
            return self._call(release_id, read_settings(self._layout.live).url)
        except UseCaseClosed as closed:
            # It is ready, and does as its gate says; that it can answer was shown beside the service.
            return GateReport(None, {"closed": closed.message})
        except (ReleaseError, OSError) as error:
            return GateReport(str(error))

    def restart(self) -> str | None:
        """Restart the service, which lets live calls end, and wait until it is ready; return why it is not."""
        return self._units.restart(UNIT, read_settings(self._layout.live).ready_s + DRAIN_S)

    def clear(self) -> None:
        """Remove what a gate left that was cut off."""
        self._units.stop(GATE_UNITS)
        self._placing.remove_gate()

    def _call(self, release_id: str, url: str) -> GateReport:
        folder = self._layout.release(release_id)
        settings = read_settings(folder / "system")
        expected = read_expectation(folder / "golden", max_v2v_ms=settings.max_v2v_ms)
        line = Line(url, folder, settings, read_key(self._layout.key))
        failures: list[str] = []
        figures: dict[str, Any] = {}
        for attempt in range(1, TRIES + 1):
            if failures:
                time.sleep(PAUSE_S)
            try:
                judgement: Judgement = judge(expected, make_call(line))
            except UseCaseClosed:
                raise
            except TaskFailed as error:
                failures.append(error.message)
                continue
            figures = {"tries": attempt, "failed_tries": [*failures], **judgement.document()}
            if not judgement.problems:
                return GateReport(None, figures)
            failures.append("; ".join(judgement.problems))
        return GateReport(failures[-1], {**figures, "failed_tries": failures})
