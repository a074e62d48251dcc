"""The lines that a report is read against, and who owns what: the numbers of the gate's policy that it shows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from voicectl.core.errors import VoicectlError

Role = Literal["voice_ai_owner", "platform_engineer", "compliance_officer", "quality_reviewer", "contact_centre_lead"]

ROLE_NAMES: Final[dict[str, str]] = {
    "voice_ai_owner": "Voice AI owner",
    "platform_engineer": "Platform engineer",
    "compliance_officer": "Compliance officer",
    "quality_reviewer": "Quality reviewer",
    "contact_centre_lead": "Contact centre lead",
}
MAX_POLICY_BYTES: Final = 262_144
_BOUNDS: Final = ("gte", "gt", "lt", "lte")


class PolicyUnreadable(VoicectlError):
    """A report cannot be read against this policy."""

    exit_code = 24


@dataclass(frozen=True, slots=True)
class TierLines:
    """What a tier has to hold to advance; None where the policy has no such criterion."""

    containment: float | None = None
    compliance_flags: float | None = None
    warm_transfer: float | None = None
    escalation_to_complaint: float | None = None


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of a policy. Those of alerts hold for every tier."""

    tiers: Mapping[str, TierLines] = field(
        default_factory=lambda: {
            "low": TierLines(containment=0.70, compliance_flags=0.02, warm_transfer=0.95),
            "medium": TierLines(
                containment=0.60, compliance_flags=0.02, warm_transfer=0.95, escalation_to_complaint=0.05
            ),
            "high": TierLines(),
        }
    )
    wer_target: float = 0.05
    wer_alert: float = 0.08
    v2v_p90_s: float = 3.5
    v2v_p99_s: float = 5.0

    def of_tiers(self, tiers: set[str]) -> TierLines:
        """Return the lines that all of several tiers share, for figures in which they are together."""
        found = [self.tiers.get(tier, TierLines()) for tier in tiers]
        return TierLines(
            containment=_shared(one.containment for one in found),
            compliance_flags=_shared(one.compliance_flags for one in found),
            warm_transfer=_shared(one.warm_transfer for one in found),
            escalation_to_complaint=_shared(one.escalation_to_complaint for one in found),
        )


def read_lines(path: Path) -> Lines:
    """Return the lines of a policy file; what else it holds is for the gate to judge. Raises PolicyUnreadable."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_POLICY_BYTES + 1)
        if len(content) > MAX_POLICY_BYTES:
            raise PolicyUnreadable(f"{path}: a policy has at most {MAX_POLICY_BYTES} bytes")
        return lines_of(yaml.safe_load(content))
    except OSError as error:
        raise PolicyUnreadable(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise PolicyUnreadable(
            f"{path}: no gate policy: {error}", hint="check it with `voicectl gate check`"
        ) from error


def lines_of(policy: Any) -> Lines:
    """Return the lines of a policy document. Raises ValueError, TypeError, AttributeError or KeyError on nonsense."""
    tiers = {
        name: TierLines(
            containment=_bound(tier.get("criteria"), "containment_rate"),
            compliance_flags=_bound(tier.get("criteria"), "compliance_flag_rate"),
            warm_transfer=_bound(tier.get("criteria"), "warm_transfer_success"),
            escalation_to_complaint=_bound(tier.get("criteria"), "escalation_to_complaint"),
        )
        for name, tier in policy["tiers"].items()
    }
    wanted: dict[str, float] = {}
    for alert in policy.get("alerts", ()):
        metric = alert["metric"]
        if metric == "wer":
            _note(wanted, "wer_alert", alert.get("gt"))
            _note(wanted, "wer_target", alert.get("target_lt"))
        elif metric == "v2v":
            _note(wanted, "v2v_p90_s", alert.get("p90_gt"))
            _note(wanted, "v2v_p99_s", alert.get("p99_gt"))
    return Lines(tiers, **wanted)


def _bound(criteria: Any, name: str) -> float | None:
    criterion = (criteria or {}).get(name)
    if criterion is None:
        return None
    return next((float(criterion[bound]) for bound in _BOUNDS if bound in criterion), None)


def _note(wanted: dict[str, float], name: str, found: Any) -> None:
    if found is not None:
        wanted[name] = float(str(found).removesuffix("s"))


def _shared(values: Iterable[float | None]) -> float | None:
    found = set(values)
    return found.pop() if len(found) == 1 else None
