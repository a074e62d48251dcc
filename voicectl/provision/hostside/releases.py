"""What can be asked of a host's releases; each answer is one document. Whoever changes something holds the lock."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any, Final

from .activation import Actor, Hands, Steps, drive
from .checks import refuse_activation, rollback_target
from .configuration import accepted
from .faults import Damaged, ReleaseError, RollbackFailed, RolledBack, TaskFailed
from .gate import Gate
from .layout import Layout, refuse_unsafe_folder
from .lock import exclusive
from .machine import begin, interrupted
from .manifest import Manifest, read_manifest
from .placing import Placing
from .pruning import prune
from .records import Records, now_text
from .settings import UNIT
from .staging import Stager
from .state import Kind, Outcome, State
from .units import Units
from .verification import Verifier, refuse_problems

Document = dict[str, Any]
VERIFIED_LOCK_WAIT_S: Final = 10.0
_BACK: Final = "the release that served before serves as it did; see `reason`, then install a release that is whole"
_LOST: Final = "look at `systemctl status voicectl` and `journalctl -u voicectl`; then run the installation again"


class Releases:
    """The releases of one host. `command` is what people are told who find the host locked."""

    def __init__(self, layout: Layout, command: str, actor: Actor | None = None) -> None:
        self._layout = layout
        self._command = command
        self._records = Records(layout)
        self._units = Units(layout)
        self._placing = Placing(layout, self._units)
        self._gate = Gate(layout, self._units, self._placing)
        self._actor = actor or Hands(self._placing, self._units, self._gate)
        self._verifier = Verifier(layout, self._records, self._placing, self._units)
        self._stager = Stager(layout, self._records, self._verifier)

    # --- releases come and go ------------------------------------------------------------------

    def prepare(self, release_id: str) -> Document:
        """Tell whether a release is known; clear away what an interrupted placement of it left."""
        with self._locked():
            existed = self._layout.release(release_id).exists()
            present = self._stager.prepare(self._records.load(), release_id)
        return {"changed": existed and not present, "release": release_id, "present": present}

    def stage(self, release_id: str, taint: str | None) -> Document:
        """Check a placed release and know it from now on."""
        with self._locked():
            state = self._settled()
            state, changed = self._stager.stage(state, release_id, taint)
        return {"changed": changed, "release": release_id, "state": state.releases[release_id].status}

    def prune(self) -> Document:
        """Remove releases that nothing needs."""
        with self._locked():
            _, removed = prune(self._layout, self._records, self._settled())
        return {"changed": bool(removed), "removed": removed}

    # --- one of them serves --------------------------------------------------------------------

    def gate(self, release_id: str) -> Document:
        """Let a release answer the golden call beside the service. Raises RolledBack when it does not pass."""
        with self._locked():
            state = self._settled()
            refuse_activation(state, release_id, self._manifest(release_id), None, allow_downgrade=True)
            self._placing.refuse_incomplete(release_id)
            report = self._gate.candidate(release_id)
        document = {"changed": False, "release": release_id, "passed": report.reason is None, **report.figures}
        if report.reason is not None:
            raise RolledBack(f"{release_id} does not pass its gate: {report.reason}", hint=_BACK, facts=document)
        return document

    def activate(self, release_id: str, *, allow_downgrade: bool) -> Document:
        """Let a staged release serve, if it passes its gates. Raises RolledBack or RollbackFailed otherwise."""
        with self._locked():
            # Whatever becomes of the release, what the installation wrote just before is no edit by hand.
            state = self._accept(self._settled())
            wanted, active = self._manifest(release_id), self._active_manifest(state)
            refuse_activation(state, release_id, wanted, active, allow_downgrade=allow_downgrade)
            self._refuse_changed(state, release_id)
            self._placing.refuse_incomplete(release_id)
            if state.active == release_id and self._serves(release_id):
                return {"changed": False, "release": release_id, "state": "good"}
            kind: Kind = "restart" if state.active == release_id else "activate"
            return self._answer(*self._carried_out(state, kind, release_id))

    def rollback(self, to: str | None) -> Document:
        """Let an earlier release serve again. Raises RollbackFailed when it does not pass its gate."""
        with self._locked():
            state = self._settled()
            target = rollback_target(state, to).release_id
            if target == state.active and self._serves(target):
                return {"changed": False, "release": target, "state": "good"}
            self._refuse_changed(state, target)
            self._placing.refuse_incomplete(target)
            return self._answer(*self._carried_out(state, "rollback", target))

    def recover(self, *, at_boot: bool) -> Document:
        """Take back what was interrupted. Raises RollbackFailed when that cannot be done."""
        with self._locked():
            before = self._records.load()
            if before.attempt is None and self._placing.linked() == before.active:
                return {"changed": False, "recovered": False, "release": before.active}
            state = self._recovered(before, at_boot=at_boot)
        document = {"changed": True, "recovered": True, "release": state.active, "outcome": _outcome(state.last)}
        if state.attempt is not None or (before.attempt is not None and _result(state) == "stranded"):
            raise RollbackFailed(_told(state, "could not be taken back"), hint=_LOST, facts=document)
        return document

    # --- the whole host ------------------------------------------------------------------------

    def verify(self, *, deep: bool, accept: bool) -> Document:
        """Compare the host with what was recorded. The lock is held only to write down what was found."""
        self._refuse_unsafe()
        before = self._records.load()
        if accept:
            with self._locked():
                before = self._accept(self._records.load(), everything=True)
        found = self._verifier.verify(before, deep=deep)
        with self._locked(wait_s=VERIFIED_LOCK_WAIT_S):
            state = self._records.load()
            if (state.active, state.previous, state.attempt) != (before.active, before.previous, before.attempt):
                raise TaskFailed("the releases changed while they were verified", hint="verify again")
            self._records.save(replace(state, verification=found))
            self._records.note("host_verified", deep=deep, drift=found.num_drift, took_s=found.took_s)
        return {"changed": False, "release": before.active, **asdict(found), "drift": list(found.drift)}

    # --- parts ---------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _locked(self, wait_s: float = 0.0) -> Iterator[None]:
        self._refuse_unsafe()
        lock = self._layout.lock
        lock.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with exclusive(lock, self._command, now_text(), wait_s=wait_s):
            yield

    def _refuse_unsafe(self) -> None:
        self._records.prepare()
        for folder in (self._layout.opt, self._layout.releases):
            if folder.exists() or folder.is_symlink():
                refuse_unsafe_folder(folder)

    def _settled(self) -> State:
        """Return the state with nothing in progress: whoever had begun something is dead, for the lock is ours."""
        state = self._records.load()
        if state.attempt is not None:
            state = self._recovered(state, at_boot=False)
            if state.attempt is not None:
                raise RollbackFailed(_told(state, "could not be taken back"), hint=_LOST)
        return state

    def _recovered(self, state: State, *, at_boot: bool) -> State:
        if state.attempt is None:
            # Somebody moved the link: only a release that was marked good may start.
            self._placing.relink(state.active)
            self._records.note("link_repaired", release=state.active)
            return state
        attempt = state.attempt
        self._gate.clear()
        self._records.note("attempt_interrupted", target=attempt.target, phase=attempt.phase, at_boot=at_boot)
        running = None if at_boot else self._units.running_release(UNIT)
        state = interrupted(state, now_text(), at_boot=at_boot, running=running)
        return drive(state, self._records, self._actor, now_text)[0]

    def _carried_out(self, state: State, kind: Kind, release_id: str) -> tuple[State, Steps]:
        self._placing.remember()
        state = begin(state, kind, release_id, now_text())
        self._records.note("attempt_begun", kind=kind, target=release_id, origin=state.active)
        state, steps = drive(state, self._records, self._actor, now_text)
        if state.attempt is None:
            with contextlib.suppress(ReleaseError, OSError):
                state, _ = prune(self._layout, self._records, state)
        return state, steps

    def _answer(self, state: State, steps: Steps) -> Document:
        last = state.last
        result = _result(state)
        good = result == "good" and state.attempt is None
        document = {
            "changed": result != "refused",
            "release": state.active,
            "previous": state.previous,
            "outcome": _outcome(last),
            "steps": steps,
        }
        if good:
            return {**document, "state": "good"}
        if last is not None and result in ("refused", "returned") and last.kind != "rollback":
            raise RolledBack(_told(state, "did not pass its gate"), hint=_BACK, facts=document)
        raise RollbackFailed(_told(state, "did not pass its gate"), hint=_LOST, facts=document)

    def _accept(self, state: State, *, everything: bool = False) -> State:
        configuration = accepted(state.configuration, self._layout, everything=everything)
        if configuration == state.configuration:
            return state
        state = replace(state, configuration=configuration)
        self._records.save(state)
        return state

    def _serves(self, release_id: str) -> bool:
        running = self._units.running_release(UNIT)
        return (
            self._placing.is_placed(release_id)
            and self._units.state(UNIT).active == "active"
            and self._units.is_enabled(UNIT)
            and running in (None, release_id)
        )

    def _refuse_changed(self, state: State, release_id: str) -> None:
        refuse_problems(
            f"{release_id} is not as it was staged",
            self._verifier.release_problems(state, release_id, deep=False),
            "remove its folder and run `voicectl install` with its bundle",
        )

    def _manifest(self, release_id: str) -> Manifest:
        return read_manifest(self._layout, release_id)

    def _active_manifest(self, state: State) -> Manifest | None:
        try:
            return None if state.active is None else self._manifest(state.active)
        except Damaged:
            return None


def _result(state: State) -> str | None:
    return None if state.last is None else state.last.result


def _outcome(outcome: Outcome | None) -> Mapping[str, Any] | None:
    return None if outcome is None else asdict(outcome)


def _told(state: State, what: str) -> str:
    last = state.last
    if last is None:
        return f"a change {what}"
    serving = f"{state.active} is active" if state.active else "no release is active"
    return f"{last.target} {what} ({serving}): {last.reason}"
