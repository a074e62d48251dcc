"""What a host must be for a bundle and a profile: the manifest and the profile, in the words of the checks."""

from typing import Final

from voicectl.core.config import DEFAULT_PROFILE, load_profile, packaged_profiles
from voicectl.core.profile import Profile
from voicectl.provision.errors import PreflightRefused
from voicectl.provision.needs import DEFAULT_PORT, GpuNeeds, Needs, ReleaseNeeds, disk_needs
from voicectl.weights.bundle.manifest import Manifest

_GB: Final = 1_000_000_000


def chosen_profile(manifest: Manifest, wanted: str | None) -> str:
    """Return the profile to install: the wanted one, else `cpu`, else the bundle's first. Raises PreflightRefused."""
    if wanted is None:
        return DEFAULT_PROFILE if DEFAULT_PROFILE in manifest.profiles else manifest.profiles[0]
    if wanted not in manifest.profiles:
        known = ", ".join(manifest.profiles)
        raise PreflightRefused(
            f"the bundle is not for profile {wanted!r}; it holds {known}",
            hint="use a bundle built with that profile: voicectl bundle build --profile " + wanted,
        )
    return wanted


def bundle_needs(
    manifest: Manifest,
    profile: str,
    *,
    bind_host: str | None = None,
    port: int | None = None,
    allow_downgrade: bool = False,
    must_be_installed: bool = False,
) -> Needs:
    """Return what a host must be for a release."""
    wanted = manifest.compatible
    hardware = profile_needs(profile, port=port)
    gpu = hardware.gpu
    if wanted.gpu is not None and gpu is not None:
        memory = max(gpu.memory_bytes, round(wanted.gpu.memory_gb * _GB))
        gpu = GpuNeeds(gpu.model, memory, wanted.gpu.driver)
    return Needs(
        profile=profile,
        systems=((wanted.os, wanted.os_version),),
        arch=wanted.arch,
        python=wanted.python,
        exact_python=True,
        cpu_flags=wanted.cpu_flags,
        cores=hardware.cores,
        memory_bytes=hardware.memory_bytes,
        disk_bytes=disk_needs({file.path: file.size for file in manifest.files}),
        bind_host=bind_host or "0.0.0.0",  # noqa: S104 - the widest address, for which any listener is in the way
        port=port or DEFAULT_PORT,
        gpu=gpu,
        release=ReleaseNeeds(
            manifest.release_id,
            manifest.version,
            manifest.serial,
            manifest.min_from_version,
            allow_downgrade,
        ),
        must_be_installed=must_be_installed,
    )


def profile_needs(profile: str | None, *, port: int | None = None, as_root: bool = True) -> Needs:
    """Return what a host must be for a profile alone. One that this voicectl does not know asks for nothing."""
    name = profile or DEFAULT_PROFILE
    known = _profile(name)
    if known is None:
        return Needs(profile=name, port=port or DEFAULT_PORT, as_root=as_root)
    hardware = known.hardware
    gpu = None
    if hardware.gpu is not None:
        gpu = GpuNeeds(hardware.gpu, round((hardware.gpu_memory_gb or 0) * _GB))
    return Needs(
        profile=known.name,
        cores=hardware.cpu_cores,
        memory_bytes=round(hardware.memory_gb * _GB),
        port=port or DEFAULT_PORT,
        gpu=gpu,
        as_root=as_root,
    )


def _profile(name: str) -> Profile | None:
    # A bundle may bring a profile that is newer than the voicectl that installs it.
    if name not in packaged_profiles() and "/" not in name and not name.endswith((".yaml", ".yml")):
        return None
    return load_profile(name, environment={})
