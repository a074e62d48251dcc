"""What the gate's files open, as they are now: follows them, and closes what they no longer prove."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import structlog

from voicectl.core.errors import ConfigError, VoicectlError
from voicectl.core.ports import AuditTrail
from voicectl.core.profile import Profile
from voicectl.core.rollout import Admitted, Refused
from voicectl.governance.policy.schema import Policy
from voicectl.governance.rollout.believe import continued
from voicectl.governance.rollout.load import enforced_files, load_enforcement
from voicectl.governance.rollout.state import Enforcement, RolloutState, open_use_cases
from voicectl.service.access.watch import FileWatch

log = structlog.get_logger(__name__)

EVERY: Final = "*"
"""Stands for every use case where nothing is enforced."""


class Unenforced:
    """A Rollout for golden calls beside the service and gateways of one command: they serve no traffic."""

    def admit(self, _use_case: str) -> Admitted | Refused:
        """Return that it may be taken, in the lowest tier."""
        return Admitted("low")


def tell_unenforced(audit: AuditTrail | None) -> None:
    """Tell the log and the audit log that a service gives traffic to every use case."""
    log.warning("enforcement_off", setting="governance.enforce", open="every use case, in the lowest tier")
    if audit is not None:
        audit.note("enforcement_changed", {"open": [EVERY], "state_digest": RolloutState().digest, "enforced": False})


class LiveRollout:
    """A Rollout of this host's files. `look` runs on a thread; everything else may be asked at any time.

    A file that cannot be read or believed any more closes everything until it can be: what it said last may be
    just what was taken back. So does a rollout state that lost changes it had while this process runs.
    """

    def __init__(
        self, every_s: float, *, audit: AuditTrail | None = None, load: Callable[[], Enforcement] = load_enforcement
    ) -> None:
        """Load the files. Raises PolicyInvalid."""
        self.num_loaded = 0
        self.num_failed = 0
        self._audit = audit
        self._load = load
        # Looked at before they are read: a change in between is seen the next time.
        self._watch: Final = FileWatch(enforced_files(), self._reload, every_s)
        self._enforcement = load()
        self._believed = RolloutState()
        self._tell()

    @property
    def enforcement(self) -> Enforcement:
        """What is enforced now."""
        return self._enforcement

    def policy(self) -> Policy:
        """Return the policy of now."""
        return self._enforcement.policy

    def admit(self, use_case: str) -> Admitted | Refused:
        """Return whether a call of this use case may be taken."""
        return self._enforcement.admit(use_case)

    def look(self) -> bool:
        """Read the files again if they changed, or could not be believed; return whether they changed."""
        if self._watch.look():
            return True
        if self._enforcement.state.problem is not None:
            # What is put right with chmod or chown leaves a file as it was.
            self._reload()
        return False

    async def watch(self) -> None:
        """Follow the files until cancelled."""
        await self._watch.run(look=self.look)

    def _reload(self) -> None:
        before = self._enforcement
        try:
            fresh = self._load()
            fresh = replace(fresh, state=continued(self._believed, fresh.state))
        except Exception as error:  # the edge of the thread: whatever it is, nothing is proven
            known = isinstance(error, VoicectlError)
            problem = error.message if isinstance(error, VoicectlError) else f"{type(error).__name__}: {error}"
            if not known:
                log.exception("rollout_not_read")
            fresh = replace(before, state=RolloutState(problem=problem))
        self._enforcement = fresh
        if _identity(fresh) != _identity(before):
            self._tell()

    def _tell(self) -> None:
        enforced = self._enforcement
        state = enforced.state
        opened = sorted(name for names in open_use_cases(enforced).values() for name in names)
        if state.problem is None:
            self._believed = state
            self.num_loaded += 1
            log.info("enforcement_changed", open=opened, changes=state.serial)
        else:
            self.num_failed += 1
            log.error("enforcement_closed", problem=state.problem)
        if self._audit is not None:
            body = {"open": opened, "state_digest": state.digest, "policy_digest": enforced.policy_sha256}
            self._audit.note(
                "enforcement_changed", body | ({} if state.problem is None else {"problem": state.problem})
            )


def refuse_unlisted(profile: Profile, enforced: Enforcement) -> None:
    """Raise ConfigError when the policy does not list the use case of calls that name none."""
    use_case = profile.governance.use_case
    if enforced.policy.tier_of(use_case) is None:
        names = ", ".join(name for rules in enforced.policy.tiers.values() for name in rules.use_cases)
        raise ConfigError(
            f"governance.use_case: the gate policy does not list {use_case!r}, so that a call that names no use case "
            "could never be taken",
            hint=f"name one of {names}; or list it in gate-policy.yaml",
        )


def _identity(enforced: Enforcement) -> tuple[str | None, str, str | None]:
    return enforced.policy_sha256, enforced.state.digest, enforced.state.problem
