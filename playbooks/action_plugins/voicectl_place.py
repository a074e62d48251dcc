"""Send files of a bundle to a host: asks it what is missing, and sends that in one archive."""

from __future__ import annotations

import fcntl
import hashlib
import json
import tarfile
import tomllib
from pathlib import Path
from typing import Any, Final

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

MODULE: Final = "voicectl_place"
PASSED_ON: Final = ("into", "mode", "reuse", "exact", "links")


class ActionModule(ActionBase):
    """The part of `voicectl_place` that runs where the bundle is."""

    _requires_connection = True
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Have the host look at its files, then send it those it misses."""
        result = super().run(tmp, task_vars)
        bundle = Path(self._task.args["bundle"])
        include = list(self._task.args["include"])
        arguments = {name: self._task.args[name] for name in PASSED_ON if name in self._task.args}
        arguments |= {"files": wanted_files(bundle, include), "folders": [n for n in include if n.endswith("/")]}
        if models := self._task.args.get("models"):
            store = self._task.args.get("store", arguments["into"])
            arguments["links"] = {**arguments.get("links", {}), **model_links(bundle, models, store)}
        looked = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
        result |= {name: value for name, value in looked.items() if name != "invocation"}
        result["sent_bytes"] = 0
        missing = result.pop("missing", [])
        if result.get("failed") or not missing or self._task.check_mode:
            return result
        archive = packed(bundle, missing)
        try:
            remote = self._connection._shell.join_path(self._make_tmp_path(), "files.tar")
            self._transfer_file(str(archive), remote)
            self._fixup_perms2((self._connection._shell.tmpdir, remote))
            arguments["archive"] = remote
            unpacked = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        if unpacked.get("failed"):
            return result | {name: value for name, value in unpacked.items() if name != "invocation"}
        result["sent_bytes"] = archive.stat().st_size
        return result


def wanted_files(bundle: Path, include: list[str]) -> list[dict[str, Any]]:
    """Return path, size and digest of the files that `include` names. Raises AnsibleActionFail for an unknown one."""
    content = (bundle / "manifest.json").read_bytes()
    listed = [{name: file[name] for name in ("path", "size", "sha256")} for file in json.loads(content)["files"]]
    # The manifest cannot list itself; who ran the playbook has verified it.
    listed.append({"path": "manifest.json", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()})
    chosen = []
    for name in include:
        found = [
            file for file in listed if file["path"] == name or (name.endswith("/") and file["path"].startswith(name))
        ]
        if not found and not name.endswith("/"):
            raise AnsibleActionFail(f"{bundle}: the bundle has no {name}")
        chosen += found
    return chosen


def model_links(bundle: Path, models: str, store: str) -> dict[str, str]:
    """Return a link for each file of each model whose weights the bundle holds, to where the store keeps it."""
    lock = tomllib.loads((bundle / "models.lock").read_text(encoding="utf-8"))
    links = {}
    for model in lock["model"]:
        blobs = {file["path"]: f"blobs/sha256/{file['sha256'][:2]}/{file['sha256']}" for file in model["file"]}
        if all((bundle / blob).is_file() for blob in blobs.values()):
            links |= {f"{models}/{model['name']}/{path}": f"{store}/{blob}" for path, blob in blobs.items()}
    return links


def packed(bundle: Path, names: list[str]) -> Path:
    """Return an archive of these files; hosts that miss the same files share one."""
    digest = hashlib.sha256("\n".join([str(bundle), *sorted(names)]).encode()).hexdigest()[:16]
    archive = bundle.with_name(f"{bundle.name}.{digest}.tar")
    with archive.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.exists():
            partial = archive.with_suffix(".partial")
            with tarfile.open(partial, "w", format=tarfile.GNU_FORMAT) as tar:
                for name in sorted(names):
                    tar.add(bundle / name, name, recursive=False)
            partial.replace(archive)
    return archive
