#!/usr/bin/python
"""Write small text files of a role in one step, each whole or not at all. Knows nothing of what they hold."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: voicectl_files
short_description: Several small files with owner and permissions
description:
  - Does for many files in one round trip what C(ansible.builtin.copy) does for one, which is most of the time that an
    unchanged run takes.
  - A file is written aside, brought to the disk and renamed, so that a loss of power leaves the old one or the new one.
options:
  files:
    description: The files.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Where the file lies. Its folder is made when it is missing.
        type: path
        required: true
      content:
        description: What it holds.
        type: str
        required: true
      mode:
        description: Its permissions.
        type: str
        default: "0644"
      owner:
        description: The user and the group that it belongs to.
        type: str
        default: root
      keep:
        description: Leave the content of a file that has any, such as one that others write too.
        type: bool
        default: false
author:
  - voicectl
"""

EXAMPLES = r"""
- name: Write the settings
  voicectl_files:
    files:
      - path: /etc/sysctl.d/60-voicectl.conf
        content: "{{ lookup('ansible.builtin.template', 'sysctl.conf.j2') }}"
"""

RETURN = r"""
written:
  description: Paths of the files that were written or whose owner or permissions were put right.
  returned: always
  type: list
"""

SPEC = {
    "path": {"type": "path", "required": True},
    "content": {"type": "str", "required": True},
    "mode": {"type": "str", "default": "0644"},
    "owner": {"type": "str", "default": "root"},
    "keep": {"type": "bool", "default": False},
}


@dataclass(frozen=True)
class WantedFile:
    """One file as it should be."""

    path: Path
    content: bytes
    mode: int
    owner: str

    @classmethod
    def of(cls, given: dict[str, Any]) -> WantedFile:
        """Return the file that a task asks for."""
        path = Path(given["path"])
        content = (given["keep"] and content_of(path)) or given["content"].encode()
        return cls(path, content, int(given["mode"], 8), given["owner"])

    def ids(self) -> tuple[int, int]:
        """Return user and group. Raises KeyError when the host does not know them."""
        return pwd.getpwnam(self.owner).pw_uid, grp.getgrnam(self.owner).gr_gid

    def is_right(self) -> bool:
        """Return whether content, owner and permissions are as they should be."""
        if content_of(self.path) != self.content:
            return False
        status = self.path.stat()
        return stat.S_IMODE(status.st_mode) == self.mode and (status.st_uid, status.st_gid) == self.ids()

    def write(self) -> None:
        """Put the file in place in one step."""
        make_folders(self.path.parent)
        aside = self.path.with_name(f".{self.path.name}.voicectl")
        aside.unlink(missing_ok=True)
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(self.content)
            file.flush()
            os.fchown(file.fileno(), *self.ids())
            os.fchmod(file.fileno(), self.mode)
            os.fsync(file.fileno())
        aside.replace(self.path)
        sync_folder(self.path.parent)


def content_of(path: Path) -> bytes | None:
    """Return what the host has there; None for no regular file."""
    try:
        return path.read_bytes() if stat.S_ISREG(path.lstat().st_mode) else None
    except FileNotFoundError:
        return None


def make_folders(folder: Path) -> None:
    """Make a folder and those above it that are missing, for root to write and everybody to read."""
    for path in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
        path.mkdir(mode=0o755)
        path.chmod(0o755)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def difference(file: WantedFile) -> dict[str, str]:
    """Return what `--diff` shows of a file."""
    there = content_of(file.path)
    return {
        "before_header": str(file.path),
        "after_header": str(file.path),
        "before": "" if there is None else there.decode(errors="replace"),
        "after": file.content.decode(),
    }


def main() -> None:
    """Answer Ansible."""
    module = AnsibleModule(
        argument_spec={"files": {"type": "list", "elements": "dict", "options": SPEC, "required": True}},
        supports_check_mode=True,
    )
    try:
        wrong = [file for file in map(WantedFile.of, module.params["files"]) if not file.is_right()]
        differences = [difference(file) for file in wrong]
        if not module.check_mode:
            for file in wrong:
                file.write()
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}")
    except KeyError as error:
        module.fail_json(msg=f"the host does not know {error}")
    module.exit_json(changed=bool(wrong), written=[str(file.path) for file in wrong], diff=differences)


if __name__ == "__main__":
    main()
