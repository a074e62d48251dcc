"""A rubric is read strictly, and any change of it is another rubric."""

from pathlib import Path

import pytest
import yaml

from voicectl.core.errors import ConfigError
from voicectl.governance.score.rubric import MAX_RUBRIC_BYTES, Rubric, packaged_rubric, read_rubric


def test_the_digest_changes_with_every_part() -> None:
    rubric = packaged_rubric()
    document = rubric.model_dump()
    assert Rubric.model_validate(document).digest == rubric.digest
    document["limits"]["dead_air_s"] = 6
    assert Rubric.model_validate(document).digest != rubric.digest


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"versoin": "2"}, "versoin"),
        ({"limits": {}}, "limits.disclosure_s"),
        ({"phrases": {"human_request": ["("]}}, "phrases.human_request"),
        ({"phrases": {"opt_out": ["(?i)opt me out"]}}, "sets flags for the whole expression"),
        ({"phrases": {"opt_out": ["opt (?s)me out"]}}, "sets flags for the whole expression"),
        ({"phrases": {"opt_out": ["(?#x"]}}, "phrases.opt_out"),
        ({"phrases": {"opt_out": ["a{99999999999999999999}"]}}, "phrases.opt_out"),
        ({"phrases": {"denied": {"opt_in": ["no"]}}}, "denied: there are no phrases 'opt_in'"),
        ({"phrases": {"prohibited": {"opt_out": ["no"]}, "denied": {}}}, "'opt_out' is the name of other phrases"),
        (
            {"limits": {"disclosure_s": float("inf"), "dead_air_s": 5, "misunderstandings": 2, "human_requests": 2}},
            "limits.disclosure_s",
        ),
        ({"judge": {"instructions": "x", "failures": ["none", "other", "other"], "flags": {}}}, "named twice"),
        ({"judge": {"instructions": "x", "failures": ["other"], "flags": {}}}, "judge.failures"),
        ({"judge": {"instructions": "x", "failures": ["none"], "flags": {"a b": "c"}}}, "judge.flags"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: dict[str, object], named: str) -> None:
    document = packaged_rubric().model_dump(mode="json")
    for key, value in change.items():
        known = document.get(key)
        document[key] = {**known, **value} if key == "phrases" else value  # type: ignore[dict-item]
    path = tmp_path / "rubric.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(ConfigError, match=named.replace(".", r"\.")):
        read_rubric(path)


@pytest.mark.parametrize("content", [b"", b"a: [", b"\xff\xfe\x00", b"- 1", b"#" * (MAX_RUBRIC_BYTES + 1)])
def test_what_is_no_rubric_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rubric.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError):
        read_rubric(path)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"version: x\nversion: y", "line 2: key 'version' is given twice"),
        (b"[" * 5_000, "nested too deeply"),
        (b"version: 2026-99-99", "holds a value that cannot be"),
        (b"? [a]\n: b", "a key must be plain text"),
        (b"a: &a x\nb: *a", "aliases are not allowed"),
    ],
)
def test_what_hides_a_mistake_is_refused(tmp_path: Path, content: bytes, named: str) -> None:
    path = tmp_path / "rubric.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=named):
        read_rubric(path)


def test_what_is_taken_can_be_searched(tmp_path: Path) -> None:
    document = packaged_rubric().model_dump(mode="json")
    document["phrases"]["opt_out"] = [r"(no) (?P<a>more) \1", r"(?P<a>foo) \1", r"(bar) \1", "(?i:Baz)"]
    path = tmp_path / "rubric.yaml"
    path.write_text(yaml.safe_dump(document))
    phrase = read_rubric(path).matchers["opt_out"]
    assert all(phrase.search(text) for text in ("no more no", "foo foo", "bar bar", "baz"))
    assert not any(phrase.search(text) for text in ("foo bar", "bar foo", "no more more"))


def test_a_rubric_need_not_deny_anything() -> None:
    document = packaged_rubric().model_dump(mode="json")
    del document["phrases"]["denied"]
    assert Rubric.model_validate(document).matchers["human_request"].search("I don't want to talk to a person")


def test_a_missing_rubric_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: .*No such file"):
        read_rubric(tmp_path / "none.yaml")
