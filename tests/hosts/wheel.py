"""Make another release out of voicectl's own wheel: a new version, and modules that behave differently."""

import base64
import csv
import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

_EPOCH = (1980, 1, 1, 0, 0, 0)


def rewrite_wheel(wheel: Path, into: Path, *, version: str, additions: Mapping[str, str]) -> Path:
    """Write `wheel` again with another version; `additions` is source that is added at the end of modules.

    Returns the new file. Raises KeyError for a module that the wheel does not have.
    """
    name, old_version, tags = wheel.name.split("-", 2)
    old_folder, new_folder = f"{name}-{old_version}.dist-info", f"{name}-{version}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        files = {entry: archive.read(entry) for entry in archive.namelist()}
    for module, source in additions.items():
        files[module] = files[module] + b"\n\n" + source.encode()
    init = files[f"{name}/__init__.py"]
    files[f"{name}/__init__.py"] = init + f'\n__version__ = "{version}"\n'.encode()
    metadata = f"{old_folder}/METADATA"
    files[metadata] = files[metadata].replace(
        f"\nVersion: {old_version}\n".encode(), f"\nVersion: {version}\n".encode()
    )
    renamed = {path.replace(old_folder, new_folder): content for path, content in files.items()}
    renamed[f"{new_folder}/RECORD"] = _record(renamed, f"{new_folder}/RECORD")
    target = into / f"{name}-{version}-{tags}"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in sorted(renamed.items()):
            archive.writestr(zipfile.ZipInfo(path, _EPOCH), content)
    return target


def _record(files: Mapping[str, bytes], own_path: str) -> bytes:
    """Return the list of files with their digests, as installers check it."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    for path, content in sorted(files.items()):
        if path != own_path:
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            rows.writerow([path, f"sha256={digest}", len(content)])
    rows.writerow([own_path, "", ""])
    return text.getvalue().encode()
