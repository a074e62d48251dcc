"""The host's configuration: what it was when it was accepted, and how it differs now. Changes nothing in it."""

import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from .layout import Layout

INSTALLED: Final = (
    "etc/systemd/system/voicectl-*.service",
    "etc/systemd/system/voicectl-*.timer",
    "etc/tmpfiles.d/voicectl*",
    "etc/sysctl.d/*voicectl*",
    "etc/voicectl/firewall.nft",
    "opt/voicectl/lib/*",
)
"""What the installation writes, at every run: taken as it is behind each activation."""
KEPT: Final = (
    "etc/voicectl/*.yaml",
    "etc/voicectl/allowed_signers",
    "etc/systemd/system/voicectl.service.d/*.conf",
)
"""What belongs to the people of this host: accepted when it is first seen, then when they say so.

Keys and certificates change by themselves and are not watched.
"""


def read_configuration(layout: Layout, patterns: tuple[str, ...] = (*INSTALLED, *KEPT)) -> dict[str, str]:
    """Return the digest of every file of the configuration, by its path on the host."""
    return {
        f"/{path.relative_to(layout.root)}": _digest(path)
        for pattern in patterns
        for path in sorted(layout.root.glob(pattern))
        if path.is_symlink() or path.is_file()
    }


def _digest(path: Path) -> str:
    if path.is_symlink():
        return f"link:{path.readlink()}"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def accepted(known: Mapping[str, str], layout: Layout, *, everything: bool) -> dict[str, str]:
    """Return the configuration to remember: what was installed as it is now, what people keep as it was accepted."""
    kept = read_configuration(layout, KEPT)
    if everything or not known:
        return {**read_configuration(layout, INSTALLED), **kept}
    installed = read_configuration(layout, INSTALLED)
    before = {path: digest for path, digest in known.items() if not _is_installed(path)}
    return {**before, **installed}


def differences(known: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Return how a configuration differs from the remembered one, one line a file."""
    lines = [f"{path}: removed" for path in sorted(known.keys() - found.keys())]
    lines += [f"{path}: added by hand" for path in sorted(found.keys() - known.keys())]
    lines += [f"{path}: edited by hand" for path in sorted(known.keys() & found.keys()) if known[path] != found[path]]
    return sorted(lines)


def _is_installed(path: str) -> bool:
    return any(PurePosixPath(path).match(f"/{pattern}") for pattern in INSTALLED)
