#!/usr/bin/python
"""Build the virtual environment of a release from its wheels, whole or not at all. Reaches no network."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: voicectl_venv
short_description: Virtual environment of a release, from wheels with known digests
description:
  - Installs exactly the wheels of C(requirements.txt), with pip run from its own wheel, so that the host needs
    neither pip nor ensurepip.
  - An environment that was not finished, or was made from other wheels, is removed and built anew.
options:
  release:
    description: Folder of the release, which holds C(requirements.txt) and C(wheels).
    type: path
    required: true
  python:
    description: Interpreter of the host that the environment is made with.
    type: path
    default: /usr/bin/python3
author:
  - voicectl
"""

EXAMPLES = r"""
- name: Build the virtual environment
  voicectl_venv:
    release: /opt/voicectl/releases/1.0.0-0123456789ab
"""

RETURN = r"""
digest:
  description: The sha256 of the requirements that the environment was made from.
  returned: always
  type: str
"""

MARKER = ".complete"
NOT_SERVED = "/(ansible|ansible_test|tests?|testing)/"
"""Packages that no service of a host loads: compiling them would take a third of the time."""
PIP_OPTIONS = (
    "--no-index",
    "--no-deps",
    "--require-hashes",
    "--only-binary=:all:",
    "--no-cache-dir",
    "--no-compile",
    "--disable-pip-version-check",
    "--no-input",
    "--quiet",
)


class BuildFailed(Exception):
    """A program of the build ended with an error."""


def run(command: list[str]) -> None:
    """Run one program of the build. Raises BuildFailed with its last words."""
    # pip reads neither the host's configuration nor its environment: the bundle alone decides.
    environment = {"PATH": "/usr/bin:/bin", "PIP_CONFIG_FILE": os.devnull, "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603
    if done.returncode != 0:
        words = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise BuildFailed(f"{' '.join(command[:4])} ended with {done.returncode}: {words}")


def wanted_digest(release: Path) -> str:
    """Return what the marker of a finished environment says."""
    return hashlib.sha256((release / "requirements.txt").read_bytes()).hexdigest()


def is_finished(release: Path, digest: str) -> bool:
    """Return whether the environment is there, whole, and of these requirements."""
    marker = release / "venv" / MARKER
    return marker.is_file() and marker.read_text(encoding="ascii").strip() == digest


def build(release: Path, python: str, digest: str) -> None:
    """Build the environment and mark it as finished. Raises BuildFailed."""
    venv, wheels = release / "venv", release / "wheels"
    pip = next(iter(sorted(wheels.glob("pip-*.whl"))), None)
    if pip is None:
        raise BuildFailed(f"{wheels}: there is no wheel of pip")
    shutil.rmtree(venv, ignore_errors=True)
    os.umask(0o022)
    run([python, "-m", "venv", "--without-pip", str(venv)])
    interpreter = str(venv / "bin" / "python")
    # A wheel is a zip file, and Python runs the package inside it.
    pip_command = [interpreter, "-B", f"{pip}/pip"]
    links = ["--find-links", str(wheels), "--requirement", str(release / "requirements.txt")]
    run([*pip_command, "install", *PIP_OPTIONS, *links])
    run([*pip_command, "check", "--disable-pip-version-check"])
    # The service cannot write, so that what is not compiled now would be compiled at every start.
    run([interpreter, "-m", "compileall", "-q", "-j", "0", "-x", NOT_SERVED, str(venv / "lib")])
    mark(venv / MARKER, digest)


def mark(marker: Path, digest: str) -> None:
    """Write the marker once everything before it is on the disk."""
    os.sync()
    partial = marker.with_name(f"{marker.name}.partial")
    with partial.open("w", encoding="ascii") as file:
        file.write(f"{digest}\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(marker)
    os.sync()


def main() -> None:
    """Answer Ansible."""
    module = AnsibleModule(
        argument_spec={
            "release": {"type": "path", "required": True},
            "python": {"type": "path", "default": "/usr/bin/python3"},
        },
        supports_check_mode=True,
    )
    release = Path(module.params["release"])
    if module.check_mode and not (release / "requirements.txt").is_file():
        # The files come in the step before, which check mode left out.
        module.exit_json(changed=True, digest="")
    try:
        digest = wanted_digest(release)
        finished = is_finished(release, digest)
        if not finished and not module.check_mode:
            build(release, module.params["python"], digest)
    except (BuildFailed, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=not finished, digest=digest)


if __name__ == "__main__":
    main()
