"""A sign-off counts only with the key of a listed reviewer, and only as it was signed, byte for byte."""

import base64
import random
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.fakes.reviewers import BINDINGS, panel, statement
from voicectl.core.errors import ConfigError, UsageError
from voicectl.governance.policy.errors import SignOffMissing
from voicectl.governance.signoff.envelope import listed_signer, open_sealed, seal
from voicectl.governance.signoff.reviewers import key_id, read_reviewers


def test_what_was_signed_is_read_again(tmp_path: Path) -> None:
    people = panel(tmp_path)
    signoff = open_sealed(seal(statement("one"), BINDINGS, people.keys["one"]), people.reviewers, "file")
    assert (signoff.signed, signoff.bindings, signoff.reviewer.name) == (statement("one"), BINDINGS, "Reviewer one")


def test_any_changed_byte_is_found(tmp_path: Path) -> None:
    people, chance = panel(tmp_path), random.Random(1)
    content = seal(statement("one"), BINDINGS, people.keys["one"])
    for _ in range(300):
        at = chance.randrange(len(content))
        changed = content[:at] + bytes([content[at] ^ chance.randrange(1, 256)]) + content[at + 1 :]
        with pytest.raises(SignOffMissing):
            open_sealed(changed, people.reviewers, "file")


@pytest.mark.parametrize("changed", [b"", b"{}", b"[]", b"null", b"[" * 30_000, b"x" * 100_000])
def test_what_is_no_envelope_is_refused(changed: bytes, tmp_path: Path) -> None:
    with pytest.raises(SignOffMissing) as refused:
        open_sealed(changed, panel(tmp_path).reviewers, "file")
    assert refused.value.exit_code == 23


def test_a_self_made_signature_is_refused(tmp_path: Path) -> None:
    people = panel(tmp_path)
    with pytest.raises(SignOffMissing, match="nobody in"):
        open_sealed(seal(statement("one"), BINDINGS, people.keys["stranger"]), people.reviewers, "file")


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("no key")
    with pytest.raises(UsageError):
        seal(statement("one"), BINDINGS, tmp_path / "key")


@pytest.mark.parametrize("old", ["ssh-ed25519 ", "AAAA"])
def test_a_reviewers_file_with_a_damaged_key_is_refused(old: str, tmp_path: Path) -> None:
    path = panel(tmp_path).reviewers.path
    path.write_text(path.read_text().replace(old, "x", 1))
    with pytest.raises(SignOffMissing):
        read_reviewers(path)


def test_one_key_for_two_people_is_refused(tmp_path: Path) -> None:
    path = panel(tmp_path).reviewers.path
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[-1].replace("Reviewer two", "Reviewer three")]))
    with pytest.raises(SignOffMissing, match="same key"):
        read_reviewers(path)


def test_a_name_that_nobody_sees_whole_is_refused_in_the_file_of_reviewers(tmp_path: Path) -> None:
    path = panel(tmp_path).reviewers.path
    path.write_text(path.read_text().replace("Reviewer one", '"Reviewer\\u200b one"'))
    with pytest.raises(SignOffMissing, match=r"reviewers.yaml:4: reviewers.0.name: U\+200B"):
        read_reviewers(path)


def test_a_key_that_others_can_read_does_not_sign(tmp_path: Path) -> None:
    people = panel(tmp_path)
    people.keys["one"].chmod(0o640)
    with pytest.raises(ConfigError, match="others can read"):
        seal(statement("one"), BINDINGS, people.keys["one"])


@pytest.mark.parametrize(("bits", "is_taken"), [(1024, False), (2048, True)])
def test_a_weak_key_of_rsa_neither_signs_nor_counts(bits: int, is_taken: bool, tmp_path: Path) -> None:
    people = panel(tmp_path)
    key = rsa.generate_private_key(65537, bits)
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    (tmp_path / "rsa.pub").write_bytes(public)
    path = people.reviewers.path
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-1], f"- {{name: Reviewer two, roles: [x], key: {public.decode()}}}"]))
    if is_taken:
        reviewers = read_reviewers(path)
        assert listed_signer(reviewers, "Reviewer two", "x", tmp_path / "rsa.pub").name == "Reviewer two"
        return
    with pytest.raises(SignOffMissing, match=r"reviewers.yaml:5: reviewers.1.key: .*too weak"):
        read_reviewers(path)
    with pytest.raises(UsageError, match="too weak"):
        seal(statement("two"), BINDINGS, tmp_path / "rsa.pub")


@pytest.mark.parametrize("kind", ["ssh-dss", "ssh-rsa-cert-v01@openssh.com", "x"])
def test_a_key_of_another_kind_is_refused(kind: str) -> None:
    blob = base64.b64encode(len(kind).to_bytes(4, "big") + kind.encode()).decode()
    with pytest.raises(ValueError, match="weak or unknown"):
        key_id(f"{kind} {blob}")
