"""The gate's files of a host in a folder, and promotions that two reviewers signed."""

import base64
import shutil
from pathlib import Path

from msgspec import UNSET

from tests.fakes.reviewers import BINDINGS, NOW, Panel, panel, statement
from voicectl.governance.rollout.state import Change, RolloutState, appended, read_state, write_state
from voicectl.governance.signoff.envelope import seal


class GateFiles:
    """The files below `home`, which VOICECTL_HOME names."""

    def __init__(self, home: Path) -> None:
        self.state = home / "gate/rollout.json"
        self.policy = home / "etc/gate-policy.yaml"
        self.reviewers = home / "etc/gate-reviewers.yaml"
        self.reviewers.parent.mkdir(parents=True)
        keys = home / "keys"
        keys.mkdir()
        self.people: Panel = panel(keys)
        shutil.copy(self.people.reviewers.path, self.reviewers)

    def promote(self, use_case: str, tier: str = "medium") -> RolloutState:
        before = read_state(self.state)
        facts = {name: getattr(BINDINGS, name) for name in BINDINGS.__slots__} | {"state": before.digest}
        bindings = type(BINDINGS)(**facts)
        signoffs = tuple(
            base64.b64encode(
                seal(statement(who, tier=tier, use_cases=(use_case,)), bindings, self.people.keys[who])
            ).decode()
            for who in ("one", "two")
        )
        return self._write("promote", use_case, tier, before, signoffs)

    def demote(self, use_case: str, tier: str = "low", reason: str = "a test") -> RolloutState:
        return self._write("demote", use_case, tier, read_state(self.state), (), reason)

    def _write(
        self,
        action: str,
        use_case: str,
        tier: str,
        before: RolloutState,
        signoffs: tuple[str, ...],
        reason: str = "a test",
    ) -> RolloutState:
        change = Change(
            action=action,  # type: ignore[arg-type]
            tier=tier,  # type: ignore[arg-type]
            use_cases=(use_case,),
            at=NOW,
            by="x",
            reason=reason,
            signoffs=signoffs,
            policy_digest=BINDINGS.policy if signoffs else UNSET,
        )
        return write_state(self.state, appended(before, change))


class Trail:
    """An audit trail that keeps what it was told."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, dict[str, object]]] = []

    def note(self, kind: str, body: dict[str, object]) -> None:
        self.entries.append((kind, dict(body)))

    def of(self, kind: str) -> list[dict[str, object]]:
        return [body for name, body in self.entries if name == kind]
