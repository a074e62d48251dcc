"""Tests of the schema and the canonical text of models.lock."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicectl.core.errors import ConfigError, UsageError
from voicectl.core.lockfile import (
    HubFile,
    JoinedParts,
    Lock,
    ModelFormat,
    ModelRole,
    WheelMember,
    default_lock_path,
    lock_of,
    parse_lock,
    parse_source,
    read_lock,
    render_lock,
)

LETTERS = "abzAZ019_"
SEGMENTS = st.text(LETTERS, min_size=1, max_size=6)
LINES = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=12)
SIZES = st.integers(0, 2**40)
SOURCES = st.one_of(
    st.builds("pypi:{}==1.0#{}/{}".format, SEGMENTS, SEGMENTS, SEGMENTS),
    st.builds("hf:{}/{}@v1.0#{}".format, SEGMENTS, SEGMENTS, SEGMENTS),
    st.builds("file:/{}".format, LINES),
)


@st.composite
def files(draw: st.DrawFn, owner: str, path: str) -> dict[str, Any]:
    parts = [
        {"sha256": digest(owner, path, str(number)), "size": draw(SIZES), "sources": [draw(SOURCES)]}
        for number in range(draw(st.integers(0, 2)))
    ]
    sources = draw(st.lists(SOURCES, min_size=1, max_size=2)) + (["parts"] if parts else [])
    size = sum(part["size"] for part in parts) if parts else draw(SIZES)
    return {"path": path, "sha256": digest(owner, path), "size": size, "sources": sources, "part": parts}


@st.composite
def models(draw: st.DrawFn, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "role": draw(st.sampled_from(get_args(ModelRole))),
        "format": draw(st.sampled_from(get_args(ModelFormat))),
        "revision": draw(LINES),
        "licence": draw(LINES),
        "source": draw(LINES),
        "file": [draw(files(name, path)) for path in draw(st.lists(SEGMENTS, min_size=1, max_size=2, unique=True))],
    }


@st.composite
def locks(draw: st.DrawFn) -> Lock:
    names = draw(st.lists(SEGMENTS, max_size=3, unique=True))
    return lock_of([draw(models(name)) for name in names], name="drawn")


def digest(*words: str) -> str:
    return hashlib.sha256("/".join(words).encode()).hexdigest()


def model(**changes: Any) -> dict[str, Any]:
    pin = {"path": "a.bin", "sha256": "0" * 64, "size": 1, "sources": ["file:/a"]}
    plain = {"name": "m", "role": "llm", "format": "gguf", "revision": "r", "licence": "MIT", "source": "s"}
    return {**plain, "file": [pin], **changes}


def file(**changes: Any) -> dict[str, Any]:
    return {**model()["file"][0], **changes}


@settings(max_examples=40, deadline=None)
@given(locks())
def test_reading_the_canonical_text_gives_the_same_pins(lock: Lock) -> None:
    assert parse_lock(render_lock(lock)) == lock


@settings(max_examples=40, deadline=None)
@given(locks())
def test_canonical_text_is_byte_stable(lock: Lock) -> None:
    text = render_lock(lock)
    assert render_lock(parse_lock(text)) == text


@settings(max_examples=40, deadline=None)
@given(locks())
def test_order_in_the_file_does_not_change_the_canonical_text(lock: Lock) -> None:
    assert render_lock(lock_of(lock.models[::-1], name="turned")) == render_lock(lock)


def test_our_lock_file_is_canonical() -> None:
    path = default_lock_path()
    assert render_lock(read_lock(path)).encode() == path.read_bytes()


def test_our_lock_file_holds_the_embedded_set_from_wheels_first() -> None:
    lock = read_lock()
    for name in (
        "faster-whisper-tiny.en",
        "smollm2-135m-instruct-q4_1",
        "piper-en_US-joe-medium",
        "smart-turn-v3.2",
        "silero-vad-v6",
        "faster-whisper-base",
    ):
        for locked in lock.model(name).files:
            pin = locked.parts[0] if locked.parts else locked
            assert isinstance(parse_source(pin.sources[0]), WheelMember)


def test_our_lock_file_has_no_model_that_forbids_commercial_use() -> None:
    banned = ("non-commercial", "NC", "research", "unclear", "Blizzard")
    assert not [m.name for m in read_lock().models for word in banned if word.lower() in m.licence.lower().split()]
    assert not [m.name for m in read_lock().models if any(v in m.name for v in ("lessac", "ryan", "hfc", "amy"))]


def test_our_hub_sources_name_a_revision_that_is_not_a_branch() -> None:
    for locked in read_lock().models:
        for text in (source for pin in locked.files for source in pin.sources):
            source = parse_source(text)
            assert not isinstance(source, HubFile) or source.revision not in {"main", "master"}, text


def test_sources_are_parsed_into_their_parts() -> None:
    assert parse_source("pypi:a-b==1.0.post1#a_b/data/x.bin") == WheelMember("a-b", "1.0.post1", "a_b/data/x.bin")
    assert parse_source("hf:o/r@v1.0.0#en/x.onnx") == HubFile("o/r", "v1.0.0", "en/x.onnx")
    assert parse_source("parts") == JoinedParts()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://example.org/x",
        "pypi:a>=1#x",
        "pypi:-e==1#x",
        "pypi:a==1#../x",
        "pypi:a==1#/x",
        "pypi:a==1 --index-url=http://evil#x",
        "hf:o/r#x",
        "hf:o/r/s@1#x",
        "hf:o/r@1#a\\b",
        "hf:o/r@../../x#a",
        "file:relative",
        "file:/a\nb",
    ],
)
def test_malformed_sources_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a source"):
        parse_source(text)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"colour": "red"}, "Extra inputs"),
        ({"name": "../up"}, "model.0.name"),
        ({"name": "a/b"}, "model.0.name"),
        ({"role": "cook"}, "model.0.role"),
        ({"licence": "a\nb"}, "model.0.licence"),
        ({"file": []}, "model.0.file"),
        ({"file": [file(path="/etc/passwd")]}, "path"),
        ({"file": [file(path="a/../../b")]}, "path"),
        ({"file": [file(path="a\\b")]}, "path"),
        ({"file": [file(path=".hidden")]}, "path"),
        ({"file": [file(sha256="0" * 63)]}, "sha256"),
        ({"file": [file(sha256="A" * 64)]}, "sha256"),
        ({"file": [file(size="1")]}, "size"),
        ({"file": [file(size=-1)]}, "size"),
        ({"file": [file(sources=[])]}, "sources"),
        ({"file": [file(sources=["ftp:x"])]}, "not a source"),
        ({"file": [file(), file()]}, "same path"),
        ({"file": [file(), file(path="a.bin/b")]}, "below another file"),
        ({"file": [file(sources=["parts"])]}, "go together"),
        ({"file": [file(), file(path="b", size=2)]}, "two sizes"),
    ],
)
def test_bad_models_are_refused_with_the_key(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        lock_of([model(**change)], name="my.lock")
    assert caught.value.message.startswith("my.lock: ")
    assert caught.value.exit_code == 3


def test_parts_must_add_up_and_not_nest() -> None:
    part = {"sha256": "1" * 64, "size": 1, "sources": ["file:/p"]}
    whole = file(size=3, sources=["parts"], part=[part, {**part, "sha256": "2" * 64}])
    with pytest.raises(ConfigError, match="hold 2 bytes, the file 3"):
        lock_of([model(file=[whole])], name="x")
    nested = file(size=1, sources=["parts"], part=[{**part, "sources": ["parts"]}])
    with pytest.raises(ConfigError, match="made of parts"):
        lock_of([model(file=[nested])], name="x")


def test_a_part_belongs_to_one_file() -> None:
    part = {"sha256": "1" * 64, "size": 1, "sources": ["file:/p"]}
    twice = [file(path=name, sha256=name * 64, sources=["parts"], part=[part]) for name in "ab"]
    with pytest.raises(ConfigError, match="more than one file"):
        lock_of([model(file=twice)], name="x")


def test_a_name_stands_for_one_model() -> None:
    with pytest.raises(ConfigError, match="one model"):
        lock_of([model(), model()], name="x")


def test_unknown_model_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no model 'x'") as caught:
        lock_of([model()], name="x").model("x")
    assert caught.value.hint == "it has: m"


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path / "none", "cannot read"),
        (lambda path: write(path / "l", b"version = "), "not TOML"),
        (lambda path: write(path / "l", b"\xff"), "not UTF-8"),
        (lambda path: write(path / "l", b"version = 2"), "version"),
        (lambda path: write(path / "l", b""), "version"),
    ],
)
def test_unreadable_lock_files_are_refused(make: Callable[[Path], Path], words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        read_lock(make(tmp_path))
