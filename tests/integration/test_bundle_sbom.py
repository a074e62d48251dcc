"""Tests of the bill of materials: it is valid SPDX, tells licences and digests, and never differs."""

import json
import zipfile
from pathlib import Path

import pytest

from voicectl.core.lockfile import lock_of
from voicectl.weights.bundle.requirements import read_wheel
from voicectl.weights.bundle.sbom import Component, model_components, render_sbom, wheel_components

pytest.importorskip("spdx_tools", reason="the bill of materials is only written where the extra `bundle` is installed")


def wheel(folder: Path, metadata: str) -> Path:
    path = folder / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny/vendored-2.dist-info/METADATA", "License: wrong\n")
        archive.writestr("tiny-1.0.dist-info/METADATA", f"Name: tiny\nVersion: 1.0\n{metadata}\n")
    return path


@pytest.mark.parametrize(
    ("metadata", "licence"),
    [
        ("License-Expression: MIT\nLicense: other", "MIT"),
        ("License: BSD-3-Clause\n", "BSD-3-Clause"),
        ("Classifier: License :: OSI Approved :: Apache Software License\n", "Apache Software License"),
        ("", None),
    ],
)
def test_licence_is_what_the_wheel_itself_says(tmp_path: Path, metadata: str, licence: str | None) -> None:
    (component,) = wheel_components([read_wheel(wheel(tmp_path, metadata))])
    assert component.licence == licence
    assert component.purl == "pkg:pypi/tiny@1.0"


def test_document_names_every_component_with_digest_and_licence() -> None:
    components = [
        Component("tiny", "1.0", "a" * 64, "wheels/tiny.whl", "pkg:pypi/tiny@1.0", "MIT"),
        Component("odd", "2", "b" * 64, "wheels/odd.whl", "pkg:pypi/odd@2", "Odd, Version 2", comment="from a shelf"),
        Component("unknown", "3", "c" * 64, "debs/unknown.deb", "pkg:deb/debian/unknown@3", None),
    ]
    document = json.loads(render_sbom("voicectl-1.0", components))
    assert document["spdxVersion"] == "SPDX-2.3"
    packages = {package["name"]: package for package in document["packages"]}
    assert packages["tiny"]["checksums"] == [{"algorithm": "SHA256", "checksumValue": "a" * 64}]
    assert packages["tiny"]["licenseDeclared"] == "MIT"
    assert packages["odd"].get("licenseDeclared", "NOASSERTION") == "NOASSERTION"
    assert packages["odd"]["licenseComments"] == "licence: Odd, Version 2"
    assert packages["unknown"]["externalRefs"][0]["referenceLocator"] == "pkg:deb/debian/unknown@3"


def test_same_components_give_the_same_bytes_in_any_order() -> None:
    components = [
        Component(name, "1", digest * 64, f"wheels/{name}", f"pkg:pypi/{name}@1", "MIT")
        for name, digest in (("a", "a"), ("b", "b"))
    ]
    assert render_sbom("x", components) == render_sbom("x", components[::-1])


def test_models_are_told_with_their_licence_and_place() -> None:
    model = {
        "name": "tiny",
        "role": "llm",
        "format": "gguf",
        "revision": "1",
        "licence": "CC0-1.0",
        "source": "made up",
        "file": [{"path": "model.bin", "sha256": "a" * 64, "size": 3, "sources": ["file:/x"]}],
    }
    (component,) = model_components(lock_of([model], name="x").models)
    assert (component.name, component.licence) == ("tiny/model.bin", "CC0-1.0")
    assert component.file_name == f"blobs/sha256/aa/{'a' * 64}"
