"""Correct what a judge counted for the errors that human labels have shown it to make (Rogan and Gladen, 1978)."""

from dataclasses import dataclass
from typing import Final

from voicectl.governance.gate.statistics import bound_of

MIN_LABELS: Final = 30
"""Human labels of either kind below which a judge counts as not calibrated."""


@dataclass(frozen=True, slots=True)
class JudgeError:
    """How a judge answered calls that humans labelled too, on one yes-or-no question."""

    true_yes: int
    false_yes: int
    true_no: int
    false_no: int

    @property
    def num_yes(self) -> int:
        """Calls that humans say yes to."""
        return self.true_yes + self.false_no

    @property
    def num_no(self) -> int:
        """Calls that humans say no to."""
        return self.true_no + self.false_yes

    @property
    def sensitivity(self) -> float:
        """Of the calls that humans say yes to, the share that the judge does. Needs labels."""
        return self.true_yes / self.num_yes

    @property
    def specificity(self) -> float:
        """Of the calls that humans say no to, the share that the judge does. Needs labels."""
        return self.true_no / self.num_no

    def doubt(self, alpha: float) -> str | None:
        """Return why the judge's answers are no evidence, in words; None when they are."""
        if min(self.num_yes, self.num_no) < MIN_LABELS:
            return (
                f"humans labelled {self.num_yes} calls yes and {self.num_no} no; {MIN_LABELS} of each are needed "
                "to know the judge's errors"
            )
        sensitivity = bound_of(self.true_yes, self.num_yes, alpha, upper=False)
        specificity = bound_of(self.true_no, self.num_no, alpha, upper=False)
        if sensitivity + specificity <= 1:
            return (
                f"the judge may be no better than chance (sensitivity {self.sensitivity:.2f}, "
                f"specificity {self.specificity:.2f})"
            )
        return None


def corrected(apparent: float, errors: JudgeError, *, good_is_yes: bool) -> float:
    """Return the rate of good events behind the apparent one. Needs errors without a `doubt`."""
    right, wrong = _of_good(errors, good_is_yes)
    return min(1.0, max(0.0, (apparent - wrong) / (right - wrong)))


def apparent_bar(bar: float, errors: JudgeError, alpha: float, *, good_is_yes: bool, all_judged: bool) -> float:
    """Return the highest rate of apparently good events that a true rate at the bar can bring about.

    The judge's errors are taken at their worst within the labels' one-sided bounds. Where some events were not
    decided by the judge, its missing good ones are not made up for: they may all be the others'.
    """
    if good_is_yes:
        right = bound_of(errors.true_yes, errors.num_yes, alpha, upper=True) if all_judged else 1.0
        wrong = 1 - bound_of(errors.true_no, errors.num_no, alpha, upper=False)
    else:
        right = bound_of(errors.true_no, errors.num_no, alpha, upper=True) if all_judged else 1.0
        wrong = 1 - bound_of(errors.true_yes, errors.num_yes, alpha, upper=False)
    return bar * right + (1 - bar) * wrong


def _of_good(errors: JudgeError, good_is_yes: bool) -> tuple[float, float]:
    """Return the chance of looking good for events that are, and for those that are not."""
    if good_is_yes:
        return errors.sensitivity, 1 - errors.specificity
    return errors.specificity, 1 - errors.sensitivity
