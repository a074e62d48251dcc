"""`voicectl bundle`: make, sign, check and look into the one file that installs hosts without a network."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from voicectl.cli.options import JsonOption
from voicectl.cli.output import Output, ProgressReporter

if TYPE_CHECKING:
    from rich.console import Console

    from voicectl.weights.bundle.manifest import Manifest

SIGNERS_VARIABLE: Final = "VOICECTL_ALLOWED_SIGNERS"
DEFAULT_SIGNERS: Final = Path("/etc/voicectl/allowed_signers")

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Build, sign and check bundles.")

Bundle = Annotated[Path, typer.Argument(metavar="FILE", help="A bundle, ending .vcb.")]
SignersOption = Annotated[
    Path, typer.Option("--allowed-signers", metavar="FILE", envvar=SIGNERS_VARIABLE, help="Whom to trust.")
]
UnsignedOption = Annotated[
    bool, typer.Option("--allow-unsigned", help="Accept a bundle without a signature: anyone may have made it.")
]


@app.command("build", epilog="Example: voicectl bundle build --profile cpu --output dist")
def build_command(
    *,
    profiles: Annotated[
        list[str] | None, typer.Option("--profile", "-p", metavar="NAME", help="A packaged profile; repeatable.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the file goes.")] = Path("dist"),
    serial: Annotated[
        int | None, typer.Option("--serial", min=0, help="Rises with each release; by default the commits so far.")
    ] = None,
    min_from_version: Annotated[
        str | None, typer.Option("--min-from-version", metavar="V", help="The oldest release that may be upgraded.")
    ] = None,
    release: Annotated[
        str, typer.Option("--release", metavar="NAME", help="The hosts' operating system: debian12 or debian13.")
    ] = "debian12",
    apt_sources: Annotated[
        Path | None,
        typer.Option("--apt-sources", metavar="FILE", help="Where Debian packages come from, instead of /etc/apt."),
    ] = None,
    driver_for: Annotated[
        list[str] | None,
        typer.Option(
            "--driver-for", metavar="KERNEL", help="Carry the GPU driver for hosts with this `uname -r`; repeatable."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make one file with everything hosts need: packages, wheels, weights, playbooks, golden audio.

    Needs a network unless everything was fetched before, and the models of the profiles (`voicectl models pull`).
    The same checkout, models and package lists give the same bytes. Sign it before it is used.
    """
    from voicectl.service.bundling import make_bundle, plan_bundle
    from voicectl.weights.bundle.aptsources import host_sources, read_sources

    out = Output(json=json)
    recipe = plan_bundle(
        profiles or ["cpu"],
        release,
        serial=serial,
        min_from_version=min_from_version,
        apt_sources=host_sources() if apt_sources is None else read_sources(apt_sources),
        driver_kernels=driver_for or (),
    )
    with out.progress() as reporter:
        built = make_bundle(recipe, output, on_step=out.note, on_progress=_Bar(reporter, "writing"))
    document = {"bundle": str(built.path), **_document(built.manifest), "signed": False}
    out.result(document, lambda console: _render(console, built.path, built.manifest, "not signed"))
    out.note(f"next: voicectl bundle sign {built.path} --key KEY")


@app.command("sign", epilog="Example: voicectl bundle sign dist/voicectl-1.0-debian12-x86_64.vcb --key ~/.ssh/release")
def sign_command(
    bundle: Bundle,
    *,
    key: Annotated[
        Path, typer.Option("--key", "-k", metavar="KEY", help="A private key, or the .pub of one in the ssh agent.")
    ],
    json: JsonOption = False,
) -> None:
    """Check a bundle and sign its manifest with ssh-keygen; an older signature is replaced.

    Keys on FIDO and PKCS#11 devices work as with ssh.
    """
    from voicectl.weights.bundle.write import sign_bundle

    out = Output(json=json)
    with out.progress() as reporter:
        manifest = sign_bundle(bundle, key, on_progress=_Bar(reporter, "checking"))
    document = {"bundle": str(bundle), **_document(manifest), "signed": True}
    out.result(document, lambda console: _render(console, bundle, manifest, f"signed with {key}"))


@app.command("verify", epilog="Example: voicectl bundle verify FILE.vcb --allowed-signers signers")
def verify_command(
    bundle: Bundle,
    *,
    allowed_signers: SignersOption = DEFAULT_SIGNERS,
    allow_unsigned: UnsignedOption = False,
    json: JsonOption = False,
) -> None:
    """Check the signature and every byte of a bundle; exit 4 when anything is not as it was signed."""
    from voicectl.weights.bundle.verify import verify_bundle

    out = Output(json=json)
    with out.progress() as reporter:
        verified = verify_bundle(
            bundle, allowed_signers, allow_unsigned=allow_unsigned, on_progress=_Bar(reporter, "checking")
        )
    if verified.signed_by is None:
        out.note("WARNING: this bundle is NOT SIGNED. Anyone may have made or changed it.")
    document = {
        "bundle": str(bundle),
        **_document(verified.manifest),
        "signed": verified.signed_by is not None,
        "signed_by": verified.signed_by,
    }
    said = f"signed by {verified.signed_by}" if verified.signed_by else "NOT SIGNED"
    out.result(document, lambda console: _render(console, bundle, verified.manifest, f"{said}, every byte as signed"))


@app.command("inspect", epilog="Example: voicectl bundle inspect FILE.vcb --files")
def inspect_command(
    bundle: Bundle,
    *,
    files: Annotated[bool, typer.Option("--files", help="List every file.")] = False,
    json: JsonOption = False,
) -> None:
    """Show what a bundle says about itself. Checks neither its signature nor its files."""
    from voicectl.weights.bundle.verify import opened, read_head

    with opened(bundle) as file:
        head = read_head(file, bundle)
    manifest = head.manifest
    document: dict[str, Any] = {
        "bundle": str(bundle),
        **_document(manifest),
        "signed": head.signature is not None,
        "verified": False,
    }
    if files:
        document["files"] = [entry.model_dump(mode="json") for entry in manifest.files]

    def render(console: "Console") -> None:
        _render(console, bundle, manifest, "signed" if head.signature else "not signed")
        for entry in manifest.files if files else ():
            console.print(f"  {entry.sha256[:12]} {entry.size:>12} {entry.path}", markup=False)

    Output(json=json).result(document, render)


class _Bar:
    """One task of a progress report, made when its total is known."""

    def __init__(self, reporter: ProgressReporter, name: str) -> None:
        self._reporter = reporter
        self._name = name
        self._task: Any = None

    def __call__(self, done_bytes: int, total_bytes: int) -> None:
        if self._task is None:
            self._task = self._reporter.add_task(self._name, total=total_bytes)
        self._reporter.update(self._task, completed=done_bytes)


def _document(manifest: "Manifest") -> dict[str, Any]:
    return {
        "release_id": manifest.release_id,
        "manifest_sha256": manifest.digest,
        "version": manifest.version,
        "serial": manifest.serial,
        "min_from_version": manifest.min_from_version,
        "profiles": list(manifest.profiles),
        "compatible": manifest.compatible.model_dump(mode="json"),
        "num_files": len(manifest.files),
        "content_bytes": manifest.content_bytes,
        "content": _kinds(manifest),
    }


def _kinds(manifest: "Manifest") -> dict[str, dict[str, int]]:
    """Return number and bytes of the files of each folder."""
    kinds: dict[str, dict[str, int]] = {}
    for entry in manifest.files:
        folder, slash, _ = entry.path.partition("/")
        kind = kinds.setdefault(folder if slash else "documents", {"num_files": 0, "bytes": 0})
        kind["num_files"] += 1
        kind["bytes"] += entry.size
    return kinds


def _render(console: "Console", bundle: Path, manifest: "Manifest", state: str) -> None:
    hosts = manifest.compatible
    console.print(f"{bundle}: {state}", markup=False)
    console.print(f"  release   {manifest.release_id}, serial {manifest.serial}", markup=False)
    console.print(f"  profiles  {', '.join(manifest.profiles)}", markup=False)
    gpu = f", GPU driver {hosts.gpu.driver} or newer" if hosts.gpu else ""
    console.print(
        f"  hosts     {hosts.os} {hosts.os_version} {hosts.arch}, Python {hosts.python}{gpu}; "
        f"processors with {' '.join(hosts.cpu_flags)}",
        markup=False,
    )
    if manifest.min_from_version:
        console.print(f"  upgrades  {manifest.min_from_version} or newer", markup=False)
    parts = [f"{count['num_files']} {kind} ({count['bytes'] / 1e6:.1f} MB)" for kind, count in _kinds(manifest).items()]
    console.print(f"  holds     {', '.join(parts)}", markup=False)
