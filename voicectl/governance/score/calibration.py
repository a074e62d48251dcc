"""How far a judge can be believed: its agreement with humans, and rates corrected for its errors."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voicectl.core.errors import VoicectlError
from voicectl.governance.kpi.rate import Z95, Rate

MIN_LABELS: Final = 30
"""Human labels of either kind below which a judge counts as not calibrated."""
DRAWS: Final = 4_000
_SEED: Final = 20_260


class JudgeTooWeak(VoicectlError):
    """A judge tells yes from no hardly better than chance, so that no rate can be corrected by it."""

    exit_code = 22


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float

    def document(self) -> dict[str, float]:
        """Return it as JSON."""
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class JudgeQuality:
    """How a judge compares with humans on one yes-or-no question, by counts of calls that both answered.

    `judge_digest` is the judge, None where several are mixed.
    """

    name: str
    true_yes: int
    false_yes: int
    true_no: int
    false_no: int
    judge_digest: str | None = None

    @property
    def num_labels(self) -> int:
        """How many calls both answered."""
        return self.true_yes + self.false_yes + self.true_no + self.false_no

    @property
    def sensitivity(self) -> Rate:
        """Of the calls that humans say yes to, those that the judge does."""
        return Rate(self.true_yes, self.true_yes + self.false_no)

    @property
    def specificity(self) -> Rate:
        """Of the calls that humans say no to, those that the judge does."""
        return Rate(self.true_no, self.true_no + self.false_yes)

    @property
    def agreement(self) -> Rate:
        """The calls on which both say the same."""
        return Rate(self.true_yes + self.true_no, self.num_labels)

    @property
    def youden(self) -> Interval | None:
        """Sensitivity plus specificity minus one: 0 is chance, 1 is perfect. The interval is Newcombe's."""
        sensitivity, specificity = self.sensitivity, self.specificity
        if sensitivity.interval is None or specificity.interval is None:
            return None
        se, sp = sensitivity.value or 0.0, specificity.value or 0.0
        (se_low, se_high), (sp_low, sp_high) = sensitivity.interval, specificity.interval
        value = se + sp - 1
        return Interval(
            value, value - math.hypot(se - se_low, sp - sp_low), value + math.hypot(se_high - se, sp_high - sp)
        )

    @property
    def kappa(self) -> Interval | None:
        """Cohen's kappa with its interval; None where chance alone would agree always.

        The interval is that of tables drawn from what the counts leave possible (Dirichlet, Jeffreys' prior of one
        half a cell). Labels drawn anew from the counts would say "1.00 to 1.00" of a judge that was never wrong.
        """
        counts = np.array([self.true_yes, self.false_yes, self.true_no, self.false_no], dtype=float)
        if not counts.sum():
            return None
        value = float(_kappa(counts[np.newaxis, :])[0])
        if math.isnan(value):
            return None
        low, high = np.percentile(_kappa(np.random.default_rng(_SEED).dirichlet(counts + 0.5, DRAWS)), [2.5, 97.5])
        return Interval(value, min(float(low), value), max(float(high), value))

    @property
    def doubt(self) -> str | None:
        """Why this judge's answers are no evidence, in words; None when they are."""
        yes, no = self.sensitivity.of, self.specificity.of
        if min(yes, no) < MIN_LABELS:
            return f"{yes} calls labelled yes and {no} labelled no by humans; {MIN_LABELS} of each are needed"
        youden = self.youden
        if youden is None or youden.low <= 0:
            return (
                f"sensitivity {self.sensitivity.value:.2f} and specificity {self.specificity.value:.2f} "
                "may be no better than chance"
            )
        return None

    @property
    def is_evidence(self) -> bool:
        """Whether the judge's answers may count: enough labels of either kind, and surely better than chance."""
        return self.doubt is None

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        youden, kappa = self.youden, self.kappa
        return {
            "name": self.name,
            "judge_digest": self.judge_digest,
            "labels": self.num_labels,
            "true_yes": self.true_yes,
            "false_yes": self.false_yes,
            "true_no": self.true_no,
            "false_no": self.false_no,
            "sensitivity": self.sensitivity.document(),
            "specificity": self.specificity.document(),
            "agreement": self.agreement.document(),
            "youden": youden.document() if youden else None,
            "kappa": kappa.document() if kappa else None,
            "is_evidence": self.is_evidence,
            "doubt": self.doubt,
        }


def judge_quality(name: str, pairs: Iterable[tuple[bool, bool]], judge_digest: str | None = None) -> JudgeQuality:
    """Return the quality of a judge from pairs of answers: the human's, then the judge's."""
    counts = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
    for pair in pairs:
        counts[pair] += 1
    return JudgeQuality(
        name,
        true_yes=counts[True, True],
        false_yes=counts[False, True],
        true_no=counts[False, False],
        false_no=counts[True, False],
        judge_digest=judge_digest,
    )


def corrected_rate(apparent: Rate, quality: JudgeQuality) -> Interval:
    """Return the true rate behind one that a judge counted, after Rogan and Gladen (1978).

    The interval is that of Lang and Reiczigel (2014), which also carries the uncertainty of sensitivity and
    specificity. Raises JudgeTooWeak where sensitivity + specificity - 1 is not above 0, or nothing is known.
    """
    se, sp = quality.sensitivity, quality.specificity
    if se.value is None or sp.value is None or apparent.value is None:
        raise JudgeTooWeak(
            f"{quality.name}: {se.of} calls labelled yes, {sp.of} labelled no and {apparent.of} judged: "
            "nothing to correct by",
            hint="import human reviews of both kinds with `voicectl calls import`",
        )
    if se.value + sp.value - 1 <= 0:
        raise JudgeTooWeak(
            f"{quality.name}: sensitivity {se.value:.2f} + specificity {sp.value:.2f} - 1 is not above 0: "
            "the judge tells nothing",
            hint="judge with a larger model, or let humans label the calls",
        )
    value = min(1.0, max(0.0, (apparent.value + sp.value - 1) / (se.value + sp.value - 1)))
    low, high = _lang_reiczigel(apparent, se, sp)
    return Interval(value, min(low, value), max(high, value))


def _lang_reiczigel(apparent: Rate, se: Rate, sp: Rate) -> tuple[float, float]:
    z = Z95
    n, p = apparent.of + z * z, (apparent.num + z * z / 2) / (apparent.of + z * z)
    num_se, sensitivity = se.of + 2, (se.num + 1) / (se.of + 2)
    num_sp, specificity = sp.of + 2, (sp.num + 1) / (sp.of + 2)
    slope = sensitivity + specificity - 1
    if slope <= 0:
        return 0.0, 1.0
    true = (p + specificity - 1) / slope
    of_se = sensitivity * (1 - sensitivity) / num_se
    of_sp = specificity * (1 - specificity) / num_sp
    shift = 2 * z * z * (true * of_se - (1 - true) * of_sp)
    reach = z * math.sqrt(p * (1 - p) / n + true * true * of_se + (1 - true) ** 2 * of_sp) / slope
    return min(1.0, max(0.0, true + shift - reach)), min(1.0, max(0.0, true + shift + reach))


def _kappa(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return kappa of rows of true yes, false yes, true no, false no; NaN where it has no value."""
    true_yes, false_yes, true_no, false_no = counts.T
    n = counts.sum(axis=1)
    observed = (true_yes + true_no) / n
    chance = ((true_yes + false_no) * (true_yes + false_yes) + (true_no + false_yes) * (true_no + false_no)) / (n * n)
    with np.errstate(invalid="ignore", divide="ignore"):
        kappa: NDArray[np.float64] = (observed - chance) / (1 - chance)
    return kappa
