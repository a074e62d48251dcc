"""Bring a release to hosts: verify the bundle, look at every host, then run the playbook of its release."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from voicectl.core.errors import VoicectlError
from voicectl.provision.hosts import Host
from voicectl.provision.journal import Unfinished
from voicectl.provision.needs import Needs
from voicectl.provision.operation import Operation
from voicectl.provision.playbooks import playbook_path
from voicectl.provision.preflight import HostReport, Look, judge, look_at_hosts, preflight_error
from voicectl.provision.program import FILE_NAME as PROGRAM_NAME
from voicectl.provision.program import write_program
from voicectl.provision.runs import RunListener, RunResult, run_playbook
from voicectl.service.access.keys import DEFAULT_SCOPES, KeyDocument, new_key
from voicectl.service.installing.bundles import extracted
from voicectl.service.installing.needs import bundle_needs, chosen_profile
from voicectl.weights.bundle.verify import VerifiedBundle, verify_bundle

KEY_NAME: Final = "first key"

Command = Literal["install", "upgrade"]

_VARIABLES: Final = {
    "profile": "voicectl_profile",
    "bind_host": "voicectl_bind_host",
    "port": "voicectl_port",
    "allow_from": "voicectl_allow_from",
    "settings": "voicectl_service_settings",
}
"""What an operator may say for a host, and the variable of the playbooks that carries it."""


class InstallListener(RunListener, Protocol):
    """Shows people what an installation is at."""

    def working(self, what: str, done: int, total: int) -> None:
        """Say that `done` of `total` bytes are through with `what`."""
        ...

    def resuming(self, address: str, run: Unfinished) -> None:
        """Say that an earlier run was broken off on a host, and that this one goes on there."""
        ...

    def looking(self, hosts: Sequence[Host]) -> None:
        """Say that all hosts are being looked at."""
        ...

    def looked(self, reports: Sequence[HostReport]) -> None:
        """Tell what was found."""
        ...


@dataclass(frozen=True, slots=True)
class InstallRequest:
    """What an operator asks for. None leaves a setting to what the host has on record, then to its default."""

    command: Command
    bundle: Path
    allowed_signers: Path
    allow_unsigned: bool = False
    profile: str | None = None
    bind_host: str | None = None
    port: int | None = None
    allow_from: tuple[str, ...] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    allow_downgrade: bool = False
    check: bool = False


@dataclass(frozen=True, slots=True)
class InstallOutcome:
    """What came of it. `result` is None when the preflight refused; `keys` are those that hosts have taken."""

    bundle: VerifiedBundle
    profile: str
    reports: tuple[HostReport, ...]
    result: RunResult | None = None
    keys: Mapping[str, str] = field(default_factory=dict)
    refusal: VoicectlError | None = None


def verified(request: InstallRequest, listener: InstallListener) -> VerifiedBundle:
    """Return the bundle of a request, checked to its last byte. Raises IntegrityError, UsageError, ConfigError."""
    return verify_bundle(
        request.bundle,
        request.allowed_signers,
        allow_unsigned=request.allow_unsigned,
        on_progress=lambda done, total: listener.working("verifying the bundle", done, total),
    )


def install(
    request: InstallRequest, bundle: VerifiedBundle, work: Operation, cache: Path, listener: InstallListener
) -> InstallOutcome:
    """Look at the hosts of `work`, and if all are fit, bring the release of a verified bundle to them."""
    profile = chosen_profile(bundle.manifest, request.profile)
    for address, run in work.unfinished.items():
        listener.resuming(address, run)
    listener.looking(work.hosts)
    looks = look_at_hosts(work.session, work.hosts)
    reports = tuple(judge(look, _needs(request, bundle, profile, look)) for look in looks)
    listener.looked(reports)
    refusal = preflight_error(reports)
    if refusal is not None:
        work.keep_output = False
        return InstallOutcome(bundle, profile, reports, refusal=refusal)
    program = work.folder / PROGRAM_NAME
    write_program(program)
    hosts, secrets = _with_first_keys(_with_recorded_settings(work.hosts, looks, profile))
    unpacking = extracted(bundle, cache, lambda done, total: listener.working("laying out the bundle", done, total))
    with unpacking as folder:
        result = run_playbook(
            work.session,
            playbook_path(request.command, bundle=folder),
            hosts,
            _variables(request, bundle, folder, program, profile),
            listener,
            run_id=work.run_id,
            journal=None if request.check else work.journal,
            check=request.check,
        )
    work.keep_output = result.exit_code != 0
    taken = {name: secrets[name] for name, host in result.hosts.items() if host.has_key_file and not request.check}
    return InstallOutcome(bundle, profile, reports, result, taken)


def _needs(request: InstallRequest, bundle: VerifiedBundle, profile: str, look: Look) -> Needs:
    recorded = _recorded(look)
    return bundle_needs(
        bundle.manifest,
        chosen_profile(bundle.manifest, request.profile or recorded.get("profile") or profile),
        bind_host=request.bind_host or recorded.get("bind_host"),
        port=request.port or recorded.get("port"),
        allow_downgrade=request.allow_downgrade,
        must_be_installed=request.command == "upgrade",
    )


def _recorded(look: Look) -> Mapping[str, Any]:
    """Return what was said for a host before; empty on a new one."""
    return (look.facts.installed.settings if look.facts else None) or {}


def _with_recorded_settings(hosts: Sequence[Host], looks: Sequence[Look], profile: str) -> tuple[Host, ...]:
    """Return the hosts with the settings that each has on record. What is said now are extra variables, which win."""
    fresh = []
    for host, look in zip(hosts, looks, strict=True):
        settings = {"profile": profile, **_recorded(look)}
        fresh.append(host.having(**{_VARIABLES[key]: value for key, value in settings.items() if key in _VARIABLES}))
    return tuple(fresh)


def _with_first_keys(hosts: Sequence[Host]) -> tuple[tuple[Host, ...], dict[str, str]]:
    """Return the hosts, each with a file of keys to be placed if it has none, and the secrets, which stay here."""
    now = datetime.now(UTC)
    fresh = []
    secrets: dict[str, str] = {}
    for host in hosts:
        key, secrets[host.name] = new_key(KEY_NAME, now=now, scopes=DEFAULT_SCOPES)
        fresh.append(host.having(voicectl_keys_document=KeyDocument(keys=(key,)).model_dump(mode="json")))
    return tuple(fresh), secrets


def _variables(
    request: InstallRequest, bundle: VerifiedBundle, folder: Path, program: Path, profile: str
) -> dict[str, Any]:
    manifest = bundle.manifest
    variables: dict[str, Any] = {
        "voicectl_bundle_dir": str(folder),
        "voicectl_release_program": str(program),
        "voicectl_release_id": bundle.release_id,
        "voicectl_version": manifest.version,
        "voicectl_serial": manifest.serial,
        "voicectl_allow_downgrade": request.allow_downgrade,
        "voicectl_tainted": bundle.signed_by is None,
    }
    said = {
        "profile": request.profile,
        "bind_host": request.bind_host,
        "port": request.port,
        "allow_from": None if request.allow_from is None else list(request.allow_from),
        "settings": dict(request.settings) or None,
    }
    return variables | {_VARIABLES[name]: value for name, value in said.items() if value is not None}
