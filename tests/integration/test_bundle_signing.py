"""Tests of signatures, with ssh-keygen: who is believed, and what is told about the others."""

import base64
from pathlib import Path

import pytest

from tests.fakes.small_bundle import PRINCIPAL, Signer, make_bundle, make_signer
from voicectl.core.errors import ConfigError, IntegrityError, UsageError
from voicectl.weights.bundle.manifest import render_manifest
from voicectl.weights.bundle.signing import armour, sign, signer
from voicectl.weights.bundle.verify import read_head, verify_bundle
from voicectl.weights.bundle.write import sign_bundle

TEXT = b"what is signed\n"


@pytest.fixture
def trusted(tmp_path: Path) -> Signer:
    return make_signer(tmp_path / "trusted")


def test_signature_names_its_signer(trusted: Signer) -> None:
    assert signer(TEXT, sign(TEXT, trusted.key), trusted.allowed, name="x") == PRINCIPAL


def test_altered_text_is_told_from_an_unknown_signer(trusted: Signer, tmp_path: Path) -> None:
    signature = sign(TEXT, trusted.key)
    with pytest.raises(IntegrityError, match="does not fit the manifest"):
        signer(TEXT + b" ", signature, trusted.allowed, name="x")
    stranger = make_signer(tmp_path / "stranger")
    with pytest.raises(IntegrityError, match=r"signed by nobody in .* ED25519 key SHA256:"):
        signer(TEXT, signature, stranger.allowed, name="x")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ('namespaces="voicectl-bundle",valid-before="20200101"', "not accept any more: key has expired"),
        ('namespaces="voicectl-bundle",valid-after="29990101"', "not accept yet: key is not yet valid"),
        ('namespaces="file,git"', "does not allow to sign bundles"),
    ],
)
def test_signer_who_may_not_sign_now_is_refused(tmp_path: Path, options: str, words: str) -> None:
    signed = make_signer(tmp_path / "k", options=options)
    with pytest.raises(IntegrityError, match=words) as caught:
        signer(TEXT, sign(TEXT, signed.key), signed.allowed, name="x")
    assert caught.value.hint


def test_missing_file_of_signers_says_how_to_write_one(trusted: Signer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file of allowed signers") as caught:
        signer(TEXT, sign(TEXT, trusted.key), tmp_path / "absent", name="x")
    assert "namespaces=" in str(caught.value.hint)


def test_key_that_is_absent_or_no_key_cannot_sign(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such key file"):
        sign(TEXT, tmp_path / "absent")
    (tmp_path / "text").write_text("not a key\n")
    with pytest.raises(UsageError, match="ssh-keygen did not sign"):
        sign(TEXT, tmp_path / "text")


def test_signature_with_bytes_that_nothing_signs_is_refused(trusted: Signer) -> None:
    signature = sign(TEXT, trusted.key)
    blob = base64.b64decode(b"".join(signature.splitlines()[1:-1]))
    assert armour(blob) == signature
    reserved_at = blob.index(b"voicectl-bundle") + len(b"voicectl-bundle")
    with_reserved = blob[:reserved_at] + b"\0\0\0\1x" + blob[reserved_at + 4 :]
    loose = [
        signature + b"\n",
        signature.replace(b"\n", b"\r\n"),
        b"# note\n" + signature,
        signature.replace(b"-----BEGIN SSH SIGNATURE-----\n", b"-----BEGIN SSH SIGNATURE-----\n\n"),
        armour(with_reserved),
        armour(blob + b"x"),
        armour(blob[:-1]),
        armour(b"SSHSIG"),
        b"",
    ]
    for text in loose:
        with pytest.raises(IntegrityError, match="malformed"):
            signer(TEXT, text, trusted.allowed, name="x")


def test_signed_bundle_holds_the_same_files(trusted: Signer, tmp_path: Path) -> None:
    bundle = tmp_path / "small.vcb"
    manifest = make_bundle(bundle)
    unsigned = bundle.read_bytes()
    assert sign_bundle(bundle, trusted.key) == manifest
    verified = verify_bundle(bundle, trusted.allowed)
    assert verified.signed_by == PRINCIPAL
    assert verified.release_id == manifest.release_id
    body_bytes = len(unsigned) - unsigned.index(b"blobs/sha256/ab/abcd\0")
    assert bundle.read_bytes()[-body_bytes:] == unsigned[-body_bytes:]


def test_second_signature_takes_the_place_of_the_first(trusted: Signer, tmp_path: Path) -> None:
    bundle = tmp_path / "small.vcb"
    make_bundle(bundle)
    sign_bundle(bundle, make_signer(tmp_path / "earlier").key)
    sign_bundle(bundle, trusted.key)
    assert verify_bundle(bundle, trusted.allowed).signed_by == PRINCIPAL


def test_damaged_bundle_is_not_signed_and_stays_as_it_is(trusted: Signer, tmp_path: Path) -> None:
    bundle = tmp_path / "small.vcb"
    make_bundle(bundle)
    damaged = bytearray(bundle.read_bytes())
    damaged[-1500] ^= 1
    bundle.write_bytes(damaged)
    with pytest.raises(IntegrityError):
        sign_bundle(bundle, trusted.key)
    assert bundle.read_bytes() == damaged
    assert [path.name for path in tmp_path.glob("*.vcb*")] == ["small.vcb"]


def test_failed_signature_leaves_the_bundle_as_it_is(tmp_path: Path) -> None:
    bundle = tmp_path / "small.vcb"
    make_bundle(bundle)
    before = bundle.read_bytes()
    (tmp_path / "nokey").write_text("not a key\n")
    with pytest.raises(UsageError):
        sign_bundle(bundle, tmp_path / "nokey")
    assert bundle.read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_signature_of_another_bundle_does_not_fit(trusted: Signer, tmp_path: Path) -> None:
    first, second = tmp_path / "first.vcb", tmp_path / "second.vcb"
    make_bundle(first)
    make_bundle(second, serial=8)
    sign_bundle(first, trusted.key)
    sign_bundle(second, trusted.key)
    with second.open("rb", buffering=0) as file:
        head = read_head(file, second)
    assert head.signature is not None
    blob = first.read_bytes()
    with first.open("rb", buffering=0) as file:
        signature = read_head(file, first).signature
    assert signature is not None
    swapped = blob.replace(signature, head.signature)
    assert swapped != blob
    first.write_bytes(swapped)
    with pytest.raises(IntegrityError, match="does not fit the manifest"):
        verify_bundle(first, trusted.allowed)
    assert render_manifest(head.manifest) == head.content
