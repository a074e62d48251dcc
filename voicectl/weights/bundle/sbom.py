"""The bill of materials of a bundle in SPDX: every package and model with version, digest, origin and licence."""

import json
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from voicectl.core.errors import ConfigError
from voicectl.core.lockfile import LockedModel
from voicectl.weights.bundle.debs import Deb
from voicectl.weights.bundle.programs import run
from voicectl.weights.bundle.requirements import Wheel, wheel_metadata
from voicectl.weights.store import file_digest

if TYPE_CHECKING:
    from spdx_tools.spdx.model.package import Package

CREATED: Final = datetime(1980, 1, 1, tzinfo=UTC)
"""Not when, for what is built twice has the same bytes."""
_NAMESPACE: Final = uuid.UUID("6f0e9b52-9c3f-5d0a-8a51-5f1f3a6b7a10")


@dataclass(frozen=True, slots=True)
class Component:
    """One line of the bill: `purl` is its package URL, `licence` what its own metadata says."""

    name: str
    version: str
    sha256: str
    file_name: str
    purl: str
    licence: str | None
    comment: str | None = None


def wheel_components(wheels: Iterable[Wheel]) -> Iterator[Component]:
    """Yield a component for each wheel, its licence read from its metadata."""
    for wheel in wheels:
        purl = f"pkg:pypi/{wheel.name}@{wheel.version}"
        path = f"wheels/{wheel.path.name}"
        yield Component(wheel.name, wheel.version, wheel.sha256, path, purl, _wheel_licence(wheel.path))


def deb_components(debs: Iterable[Deb], codename: str) -> Iterator[Component]:
    """Yield a component for each Debian package; its licences are in the package's own copyright file."""
    for deb in debs:
        shown = "${Package}\t${Version}\t${Architecture}"
        fields = run(["dpkg-deb", "--show", f"--showformat={shown}", deb.path], doing=f"reading {deb.name}")
        name, version, arch = fields.split("\t")
        purl = f"pkg:deb/debian/{name}@{version.replace(':', '%3A')}?arch={arch}&distro={codename}"
        yield Component(
            name,
            version,
            file_digest(deb.path),
            f"debs/{deb.name}",
            purl,
            None,
            comment=f"licences: /usr/share/doc/{name}/copyright inside the package",
        )


def model_components(models: Iterable[LockedModel]) -> Iterator[Component]:
    """Yield a component for each file of each model."""
    for model in models:
        for file in model.files:
            yield Component(
                f"{model.name}/{file.path}",
                model.revision,
                file.sha256,
                f"blobs/sha256/{file.sha256[:2]}/{file.sha256}",
                f"pkg:generic/{model.name}@{model.revision}?checksum=sha256:{file.sha256}",
                model.licence,
                comment=f"from {model.source}",
            )


def render_sbom(name: str, components: Sequence[Component]) -> bytes:
    """Return the SPDX document (JSON) of `components`, valid by the library's own check.

    Raises ConfigError when the library is missing or finds the document invalid.
    """
    try:
        from spdx_tools.spdx.model.actor import Actor, ActorType
        from spdx_tools.spdx.model.document import CreationInfo, Document
        from spdx_tools.spdx.model.relationship import Relationship, RelationshipType
        from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
        from spdx_tools.spdx.writer.json import json_writer
    except ImportError as error:
        raise ConfigError(
            "the bill of materials needs the library spdx-tools", hint="pip install 'voicectl[bundle]'"
        ) from error
    ordered = sorted(components, key=lambda component: component.file_name)
    identity = "\n".join(f"{component.purl} {component.sha256}" for component in ordered)
    packages = [_package(component, f"SPDXRef-{number}") for number, component in enumerate(ordered, start=1)]
    document = Document(
        CreationInfo(
            spdx_version="SPDX-2.3",
            spdx_id="SPDXRef-DOCUMENT",
            name=name,
            document_namespace=f"urn:uuid:{uuid.uuid5(_NAMESPACE, identity)}",
            creators=[Actor(ActorType.TOOL, "voicectl bundle build")],
            created=CREATED.replace(tzinfo=None),
        ),
        packages=packages,
        relationships=[
            Relationship("SPDXRef-DOCUMENT", RelationshipType.DESCRIBES, package.spdx_id) for package in packages
        ],
    )
    problems = validate_full_spdx_document(document)
    if problems:
        raise ConfigError(f"the bill of materials is not valid SPDX: {problems[0].validation_message}")
    with tempfile.TemporaryDirectory(prefix="voicectl-sbom-") as folder:
        path = Path(folder) / "sbom.json"
        json_writer.write_document_to_file(document, str(path), validate=False)
        return (json.dumps(json.loads(path.read_bytes()), sort_keys=True, indent=1) + "\n").encode()


def _package(component: Component, spdx_id: str) -> "Package":
    from spdx_tools.spdx.model.checksum import Checksum, ChecksumAlgorithm
    from spdx_tools.spdx.model.package import ExternalPackageRef, ExternalPackageRefCategory, Package
    from spdx_tools.spdx.model.spdx_no_assertion import SpdxNoAssertion

    licence = f"licence: {component.licence}" if component.licence else None
    return Package(
        spdx_id=spdx_id,
        name=component.name,
        download_location=SpdxNoAssertion(),
        version=component.version,
        file_name=f"./{component.file_name}",
        files_analyzed=False,
        checksums=[Checksum(ChecksumAlgorithm.SHA256, component.sha256)],
        license_declared=_expression(component.licence),
        license_comment=licence,
        comment=component.comment,
        external_references=[ExternalPackageRef(ExternalPackageRefCategory.PACKAGE_MANAGER, "purl", component.purl)],
    )


def _expression(licence: str | None) -> object:
    """Return the licence as SPDX reads it; what is no SPDX expression is only told in the comment."""
    from license_expression import (  # type: ignore[import-untyped] # it comes without types
        ExpressionError,
        get_spdx_licensing,
    )
    from spdx_tools.spdx.model.spdx_no_assertion import SpdxNoAssertion

    try:
        expression = get_spdx_licensing().parse(licence or "", validate=True, strict=True)
        return SpdxNoAssertion() if expression is None else expression
    except ExpressionError:
        return SpdxNoAssertion()


def _wheel_licence(path: Path) -> str | None:
    metadata = wheel_metadata(path)
    expression = metadata.get("License-Expression")
    if expression:
        return str(expression)
    classified = [
        str(value).rpartition(" :: ")[2]
        for value in metadata.get_all("Classifier", [])
        if str(value).startswith("License :: ")
    ]
    said = str(metadata.get("License") or "").strip().splitlines()
    return said[0][:120] if said else " / ".join(classified) or None
