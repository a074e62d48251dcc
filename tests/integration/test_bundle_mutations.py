"""Damaged and forged bundles: every one is refused, before anything of it is used."""

import os
import random
from pathlib import Path

import pytest

from tests.fakes.mutations import MUTATIONS, Mutation, archive_of, entries_of
from tests.fakes.small_bundle import Signer, make_bundle, make_signer
from voicectl.core.errors import IntegrityError
from voicectl.weights.bundle.verify import extract, verify_bundle
from voicectl.weights.bundle.write import sign_bundle

NUM_MUTATIONS = int(os.environ.get("VOICECTL_BUNDLE_MUTATIONS", "330"))
"""Of all classes together; the full number of the project's bar is 2,000."""


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return make_signer(tmp_path_factory.mktemp("trusted"))


@pytest.fixture(scope="module")
def bundle(trusted: Signer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "small.vcb"
    make_bundle(path)
    sign_bundle(path, trusted.key)
    return path


def test_mutations_take_a_bundle_apart_as_it_was_put_together(bundle: Path, trusted: Signer) -> None:
    assert archive_of(entries_of(bundle.read_bytes())) == bundle.read_bytes()
    assert verify_bundle(bundle, trusted.allowed).signed_by


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_mutated_bundle_is_refused_as_not_intact(
    mutation: Mutation, bundle: Path, trusted: Signer, tmp_path: Path
) -> None:
    original = bundle.read_bytes()
    mutated = tmp_path / "mutated.vcb"
    for number in range(max(1, -(-NUM_MUTATIONS // len(MUTATIONS)))):
        blob = mutation(original, random.Random(f"{mutation.__name__}-{number}"))
        if blob == original:
            pytest.fail(f"{mutation.__name__} {number} changed nothing")
        mutated.write_bytes(blob)
        with pytest.raises(IntegrityError) as caught:
            verify_bundle(mutated, trusted.allowed)
        assert caught.value.exit_code == 4


def test_tree_of_a_mutated_bundle_is_never_left_behind(bundle: Path, trusted: Signer, tmp_path: Path) -> None:
    manifest = verify_bundle(bundle, trusted.allowed).manifest
    original = bundle.read_bytes()
    mutated = tmp_path / "mutated.vcb"
    for mutation in MUTATIONS:
        # The signature is not looked at again: what follows the manifest is.
        if "signature" in mutation.__name__:
            continue
        mutated.write_bytes(mutation(original, random.Random(mutation.__name__)))
        with pytest.raises(IntegrityError):
            extract(mutated, manifest, tmp_path / "tree")
        assert [path.name for path in tmp_path.iterdir()] == ["mutated.vcb"]
