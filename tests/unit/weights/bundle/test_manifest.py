"""Tests of the manifest: what it refuses, its one text, and the identity it gives a release."""

import hashlib
import json
from typing import Any

import pytest

from voicectl.core.errors import IntegrityError
from voicectl.weights.bundle.manifest import Manifest, parse_manifest, render_manifest

FILE = {"path": "a/b.txt", "size": 3, "sha256": "0" * 64, "mode": "0644"}
DOCUMENT: dict[str, Any] = {
    "schema": 1,
    "version": "1.2.0",
    "serial": 7,
    "min_from_version": None,
    "profiles": ["cpu"],
    "compatible": {
        "os": "debian",
        "os_version": "12",
        "arch": "x86_64",
        "python": "3.11",
        "cpu_flags": ["avx2"],
        "gpu": None,
    },
    "files": [FILE],
}


def rendered(document: object) -> bytes:
    return (json.dumps(document, sort_keys=True, indent=1) + "\n").encode()


def with_files(*files: dict[str, Any]) -> dict[str, Any]:
    return {**DOCUMENT, "files": list(files)}


def test_text_and_manifest_are_one_to_one() -> None:
    text = rendered(DOCUMENT)
    assert render_manifest(parse_manifest(text, name="x")) == text


def test_release_id_is_version_and_digest_of_the_text() -> None:
    manifest = parse_manifest(rendered(DOCUMENT), name="x")
    digest = hashlib.sha256(rendered(DOCUMENT)).hexdigest()
    assert manifest.digest == digest
    assert manifest.release_id == f"1.2.0-{digest[:12]}"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../up",
        "a/../b",
        "a//b",
        "a/",
        "./a",
        ".hidden",
        "a/.git",
        "a" * 256,
        "a b",
        "a\\b",
        "a\x00b",
        "ä",
    ],
)
def test_path_that_could_leave_the_folder_is_refused(path: str) -> None:
    with pytest.raises(IntegrityError, match="plain relative path"):
        parse_manifest(rendered(with_files({**FILE, "path": path})), name="x")


@pytest.mark.parametrize("path", ["manifest.json", "manifest.json.sig"])
def test_manifest_and_signature_list_neither_themselves(path: str) -> None:
    with pytest.raises(IntegrityError, match="not a file of the list"):
        parse_manifest(rendered(with_files({**FILE, "path": path})), name="x")


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["a", "a"], "each once"),
        (["b", "a"], "sorted"),
        (["a", "a/b"], "below another file"),
        (["a", "a-b", "a/b"], "below another file"),
    ],
)
def test_list_that_is_no_tree_is_refused(paths: list[str], words: str) -> None:
    with pytest.raises(IntegrityError, match=words):
        parse_manifest(rendered(with_files(*[{**FILE, "path": path} for path in paths])), name="x")


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"mode": "0777"}, "mode"),
        ({"mode": "4755"}, "mode"),
        ({"size": 0}, "size"),
        ({"size": -1}, "size"),
        ({"size": "3"}, "size"),
        ({"sha256": "0" * 63}, "sha256"),
        ({"sha256": "A" * 64}, "sha256"),
        ({"link": "b"}, "link"),
    ],
)
def test_entry_that_is_no_plain_file_is_refused(change: dict[str, Any], key: str) -> None:
    with pytest.raises(IntegrityError, match=rf"files\.0\.{key}"):
        parse_manifest(rendered(with_files({**FILE, **change})), name="x")


@pytest.mark.parametrize("version", ["1.0+local", "v1", "", "1.0-2", "1.0/..", "1.0\n"])
def test_version_that_cannot_name_a_unit_is_refused(version: str) -> None:
    with pytest.raises(IntegrityError, match="version"):
        parse_manifest(rendered({**DOCUMENT, "version": version}), name="x")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        rendered({**DOCUMENT, "files": []}),
        rendered({**DOCUMENT, "extra": 1}),
        rendered({**DOCUMENT, "serial": -1}),
        rendered({key: value for key, value in DOCUMENT.items() if key != "schema"}),
    ],
)
def test_text_that_is_no_manifest_is_refused(text: bytes) -> None:
    with pytest.raises(IntegrityError, match=r"manifest\.json"):
        parse_manifest(text, name="x.vcb")


def test_second_spelling_of_the_same_manifest_is_refused() -> None:
    with pytest.raises(IntegrityError, match="canonical"):
        parse_manifest(json.dumps(DOCUMENT).encode(), name="x")
    with pytest.raises(IntegrityError, match="canonical"):
        parse_manifest(rendered(DOCUMENT).replace(b'"serial": 7', b'"serial": 6,\n "serial": 7'), name="x")


def test_newer_schema_is_told_from_damage() -> None:
    with pytest.raises(IntegrityError, match="schema 2, this voicectl reads 1"):
        parse_manifest(rendered({**DOCUMENT, "schema": 2, "new": True}), name="x")


def test_file_is_found_by_its_path() -> None:
    manifest = Manifest.model_validate(DOCUMENT)
    assert manifest.file("a/b.txt") == manifest.files[0]
    assert manifest.file("a") is None
