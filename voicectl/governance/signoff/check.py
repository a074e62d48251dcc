"""Tell whether the sign-offs at hand are those that the policy asks for. Pure."""

from collections.abc import Iterator, Sequence

from voicectl.governance.gate.verdict import SignOffState
from voicectl.governance.policy.persons import one_person_twice, same_person
from voicectl.governance.policy.schema import Policy
from voicectl.governance.signoff.envelope import SignOff
from voicectl.governance.signoff.statement import CLOCK_SKEW_S, Bindings, differing


def check_signoffs(
    policy: Policy,
    signoffs: Sequence[SignOff],
    *,
    tier: str,
    use_cases: Sequence[str],
    as_of: float,
    bindings: Bindings,
    author: str,
    now: float,
) -> SignOffState:
    """Return who has signed this decision with effect, and everything that is missing or wrong."""
    valid: dict[str, SignOff] = {}
    missing: list[str] = []
    for signoff in signoffs:
        problems = list(
            _problems(
                policy,
                signoff,
                tier=tier,
                use_cases=use_cases,
                as_of=as_of,
                bindings=bindings,
                author=author,
                now=now,
            )
        )
        missing += [f"{signoff.signed.role} ({signoff.reviewer.name}): {problem}" for problem in problems]
        if not problems:
            valid.setdefault(signoff.signed.role, signoff)
    missing += [f"{role}: nobody has signed" for role in policy.signoff.require if role not in valid]
    people = [signoff.reviewer.name for role, signoff in valid.items() if role in policy.signoff.require]
    if one_person_twice(people):
        missing.append(f"{people[0]} signed for more than one role: different people have to")
    if not author:
        missing.append("the evidence file does not name the author, who may not sign")
    return SignOffState(
        signed=tuple(f"{role}: {signoff.reviewer.name}" for role, signoff in sorted(valid.items())),
        missing=tuple(missing),
    )


def _problems(
    policy: Policy,
    signoff: SignOff,
    *,
    tier: str,
    use_cases: Sequence[str],
    as_of: float,
    bindings: Bindings,
    author: str,
    now: float,
) -> Iterator[str]:
    signed, reviewer = signoff.signed, signoff.reviewer
    if not same_person(signed.reviewer, reviewer.name):
        yield f"signed as {signed.reviewer}, with the key of {reviewer.name}"
    if signed.role not in reviewer.roles:
        yield f"{reviewer.name} does not have this role"
    if (signed.tier, signed.use_cases) != (tier, tuple(use_cases)):
        yield "signed for another decision"
    if signed.as_of != as_of:
        yield "signed for evidence of another time"
    if changed := differing(signoff.bindings, bindings):
        yield f"changed since it was signed: {', '.join(name.replace('_', ' ') for name in changed)}"
    if signed.expires_at <= now or signed.expires_at > signed.date + policy.signoff.expires:
        yield "expired"
    if signed.date > now + CLOCK_SKEW_S:
        yield "dated in the future"
    if same_person(reviewer.name, author):
        yield "the author of the change may not sign for it"
