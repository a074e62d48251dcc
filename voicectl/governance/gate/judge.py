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


def corrected(good: int, judged: int, unknown: int, errors: JudgeError, *, good_is_yes: bool) -> float:
    """Return how many of `judged` events are good, when `good` of them look it. Needs errors without a `doubt`.

    Unknown events may be just those that the judge answered wrongly, and they count as bad: what it took for good
    falsely is expected among them too, and good ones that it overlooked are made up for only as far as the unknown
    ones cannot be these. So no answer that gets lost raises the result, whichever it is. But proof that is sought
    for what the judge took for bad alone does: the e-value, which such proof cannot deceive, has to hold, too.
    """
    right, wrong = _of_good(errors, good_is_yes)
    truly = (good - wrong * (judged + unknown)) / (right - wrong)
    return min(float(judged), max(0.0, right * truly, truly - unknown))


def apparent_bar(bar: float, errors: JudgeError, alpha: float, *, good_is_yes: bool, some_proven: bool) -> float:
    """Return the highest chance of an apparently good event that a true one at the bar or below can bring about.

    The judge's errors are taken at their worst within the labels' one-sided bounds. If a judge alone finds good
    events, a true chance p makes right * p + wrong * (1 - p) of them apparent; more of p means more, and an event
    that is unknown, or bad by proof, looks good never, so that it only lowers the chance. With `some_proven`, good
    events that are known without the judge, any good one may be seen for certain, be it that proof was sought for
    all that the judge took for bad: `right` is 1.
    """
    if good_is_yes:
        right = 1.0 if some_proven else bound_of(errors.true_yes, errors.num_yes, alpha, upper=True)
        wrong = 1 - bound_of(errors.true_no, errors.num_no, alpha, upper=False)
    else:
        right = 1.0 if some_proven else bound_of(errors.true_no, errors.num_no, alpha, upper=True)
        wrong = 1 - bound_of(errors.true_yes, errors.num_yes, alpha, upper=False)
    return bar * right + (1 - bar) * wrong


def _of_good(errors: JudgeError, good_is_yes: bool) -> tuple[float, float]:
    """Return the chance of looking good for events that are, and for those that are not."""
    if good_is_yes:
        return errors.sensitivity, 1 - errors.specificity
    return errors.specificity, 1 - errors.sensitivity
