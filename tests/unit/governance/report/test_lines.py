"""The lines of a report are those of the policy."""

from pathlib import Path

import pytest
import yaml

from voicectl.governance.report.lines import Lines, PolicyUnreadable, TierLines, read_lines

POLICY = {
    "tiers": {
        "low": {"criteria": {"containment_rate": {"gte": 0.8, "min_n": 200}}},
        "high": {"entry_requires": ["x"]},
    },
    "alerts": [
        {"metric": "v2v", "p90_gt": "2.5s"},
        {"metric": "v2v", "p99_gt": "4s"},
        {"metric": "wer", "target_lt": 0.04, "gt": 0.07},
        {"metric": "other", "gt": 1},
    ],
}


def test_lines_are_read_from_a_policy(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump(POLICY))
    found = read_lines(path)
    assert found.tiers == {"low": TierLines(containment=0.8), "high": TierLines()}
    assert (found.v2v_p90_s, found.v2v_p99_s, found.wer_target, found.wer_alert) == (2.5, 4.0, 0.04, 0.07)


@pytest.mark.parametrize(
    "content", ["", "[1]", "a: b", "tiers: 5", "{", "tiers: {low: {criteria: {containment_rate: 5}}}"]
)
def test_what_is_no_policy_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(content)
    with pytest.raises(PolicyUnreadable):
        read_lines(path)


def test_a_line_holds_for_several_tiers_only_if_they_share_it() -> None:
    lines = Lines()
    assert lines.of_tiers({"low"}).containment == 0.7
    assert lines.of_tiers({"low", "medium"}) == TierLines(compliance_flags=0.02, warm_transfer=0.95)
    assert lines.of_tiers({"low", "unheard-of"}) == TierLines()
    assert lines.of_tiers(set()) == TierLines()
