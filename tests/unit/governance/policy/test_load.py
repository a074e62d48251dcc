"""A policy that cannot be meant is refused with 24, naming file, line and key; every byte of it counts."""

import random
from pathlib import Path

import pytest

from voicectl.governance.policy.errors import PolicyInvalid
from voicectl.governance.policy.load import PACKAGED, load_policy, parse_policy

TEXT = PACKAGED.read_text(encoding="utf-8")
FILE = Path("policy.yaml")


def refusal_of(old: str, new: str) -> PolicyInvalid:
    assert old in TEXT
    with pytest.raises(PolicyInvalid) as refused:
        parse_policy(FILE, TEXT.replace(old, new, 1).encode())
    assert refused.value.exit_code == 24
    return refused.value


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(TEXT.splitlines(), 1) if text in line)


@pytest.mark.parametrize(
    ("old", "new", "said", "at"),
    [
        ("  window: 7d", "  windw: 7d", "defaults.windw: unknown key", "window: 7d"),
        ("gte: 0.70", "gte: 0.70, lt: 0.80", "contradictory bars", "gte: 0.70"),
        ("gte: 0.70", "lte: 0.70", "contradictory bar", "gte: 0.70"),
        ("gte: 0.70", "gte: 1.70", "refused", "gte: 0.70"),
        ("gte: 0.70", "gte: '0.70'", "refused", "gte: 0.70"),
        (
            "gt: 0.02, over: 24h",
            "gt: 0.02, over: 1h",
            "alerts.3.over: an alert on compliance_flag_rate is over 24h",
            "gt: 0.02",
        ),
        ("gt: 0.05, severity", "gt: 0.05, over: 24h, severity", "over defaults.window", "gt: 0.05, severity"),
    ],
)
def test_it_names_the_line_and_the_key(old: str, new: str, said: str, at: str) -> None:
    message = refusal_of(old, new).message
    assert said in message
    assert f"policy.yaml:{line_of(at)}: " in message


def test_a_span_that_is_looked_at_may_be_said() -> None:
    said = TEXT.replace("gt: 0.05, severity", "gt: 0.05, over: 7d, severity", 1)
    assert parse_policy(FILE, said.encode()).policy.alerts[4].over == 7 * 86_400


def test_it_names_the_key_that_was_probably_meant() -> None:
    assert "window" in (refusal_of("  window: 7d", "  windw: 7d").hint or "")
    assert "containment_rate" in (refusal_of("containment_rate: {gte: 0.60", "containmnt_rate: {gte: 0.60").hint or "")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("faq, ", "order_status, ", "already in tier low"),
        ("[appointment_scheduling,", "[faq,", "already in tier low"),
        ("  window: 7d", "  window: 7d\n  window: 8d", "given twice"),
        ("metric: wer", "metric: werr", "is not known"),
        ("alpha: 0.05", "alpha: .nan", "refused"),
        ("window: 7d", "window: 7", "no duration"),
        ("target_lt: 0.05", "target_lt: 0.5", "contradictory bars"),
        ("p99_gt: 5s", "p99_gt: 2s", "contradictory bars"),
        ("require: [voice_ai_owner", "require: [the_boss", "none of the roles"),
        ("lt: 0.40", "lt: 0.80", "contradictory bars"),
        ("maturity: 7d", "denominator: attempted", "maturity is required"),
        ("binds: [policy, ", "binds: [", "must bind policy"),
        ("[phi, pci]", "*scopes", "alias"),
        ("kind: GatePolicy", "kind: GatePolicy\n<<: {a: 1}", "plain word"),
    ],
)
def test_what_cannot_be_meant_is_refused(old: str, new: str, said: str) -> None:
    assert said in refusal_of(old, new).message


def test_a_tier_without_criteria_is_refused() -> None:
    start, end = TEXT.index("    criteria:\n      containment_rate: {gte: 0.70"), TEXT.index("  medium: ")
    assert "no criteria" in refusal_of(TEXT[start:end], "").message


@pytest.mark.parametrize(
    "content", [b"", b"[" * 100_000, b"\xff\xfe", b"a: 1", b"- 1", b"a: !!python/object:os.system x"]
)
def test_what_is_no_policy_at_all_is_refused(content: bytes) -> None:
    with pytest.raises(PolicyInvalid):
        parse_policy(FILE, content)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyInvalid):
        load_policy(tmp_path / "none.yaml")


def test_every_changed_byte_is_another_policy_or_none() -> None:
    chance, whole, content = random.Random(1), load_policy().sha256, TEXT.encode()
    for _ in range(25):
        at = chance.randrange(len(content))
        changed = content[:at] + bytes([content[at] ^ chance.randrange(1, 256)]) + content[at + 1 :]
        try:
            assert parse_policy(FILE, changed).sha256 != whole
        except PolicyInvalid:
            continue


def test_the_digest_of_what_it_says_ignores_comments() -> None:
    other = parse_policy(FILE, TEXT.replace("# voicectl", "# us").encode())
    assert (other.digest == load_policy().digest, other.sha256 == load_policy().sha256) == (True, False)


@pytest.mark.parametrize("number", ["010", "3:20", "0x10", "1_000", "+5", "0b11"])
def test_a_number_that_yaml_reads_otherwise_than_people_is_refused(number: str) -> None:
    message = refusal_of("min_n: 200", f"min_n: {number}").message
    assert f"policy.yaml:{line_of('gte: 0.70')}: tiers.low.criteria.containment_rate.min_n: {number}" in message


def test_a_share_of_sixty_is_refused() -> None:
    assert "plain decimal" in refusal_of("gte: 0.70", "gte: 0:0.70").message


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("require: [voice_ai_owner, compliance_officer]", "require: [voice_ai_owner]", "require"),
        ("distinct_people: true", "distinct_people: false", "distinct_people"),
        ("author_may_not_sign: true", "author_may_not_sign: false", "author_may_not_sign"),
    ],
)
def test_that_two_people_sign_and_not_the_author_is_no_choice(old: str, new: str, key: str) -> None:
    assert f"policy.yaml:{line_of(old)}: signoff.{key}: " in refusal_of(old, new).message
