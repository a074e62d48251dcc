"""Who vouches for a bundle: signatures over its manifest, made and checked by OpenSSH's ssh-keygen."""

import base64
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from voicectl.core.errors import ConfigError, IntegrityError, UsageError

NAMESPACE: Final = "voicectl-bundle"
TIMEOUT_S: Final = 30.0
"""Longest time for a check; signing has no limit, for a person may have to touch a key."""
_PROGRAM: Final = "ssh-keygen"
_BEGIN: Final = b"-----BEGIN SSH SIGNATURE-----\n"
_END: Final = b"-----END SSH SIGNATURE-----\n"
_LINE: Final = 70
_MAGIC: Final = b"SSHSIG" + (1).to_bytes(4, "big")
_COPY_AGAIN: Final = "the bundle was altered after it was signed; copy it again from its source"


def sign(content: bytes, key: Path) -> bytes:
    """Return a signature of `content` by `key`: a private key, or the public half of one in the ssh agent.

    Keys of FIDO and PKCS#11 devices work as they do for ssh. Raises UsageError.
    """
    if not key.is_file():
        raise UsageError(f"{key}: no such key file", hint="make one with `ssh-keygen -t ed25519 -f KEY`")
    command = [_program(), "-Y", "sign", "-n", NAMESPACE, "-f", str(key)]
    # stderr and the terminal stay with the person, who is asked there for a passphrase or a touch.
    finished = subprocess.run(command, input=content, stdout=subprocess.PIPE, check=False)  # noqa: S603 - a list
    if finished.returncode != 0 or not finished.stdout.startswith(_BEGIN):
        raise UsageError(
            f"{key}: ssh-keygen did not sign (status {finished.returncode})",
            hint="its own words are above; a key on a device or in the agent is named by its .pub file",
        )
    return finished.stdout


def signer(content: bytes, signature: bytes, allowed_signers: Path, *, name: str) -> str:
    """Return who of `allowed_signers` signed `content`; `name` is the bundle that errors name.

    Raises IntegrityError for an altered text, a signer who is unknown, expired or not allowed to sign bundles;
    ConfigError when the file of signers cannot be read.
    """
    _refuse_loose_form(signature, name)
    if not allowed_signers.is_file():
        raise ConfigError(
            f"{allowed_signers}: no such file of allowed signers",
            hint='write one line `NAME namespaces="voicectl-bundle" ssh-ed25519 AAAA…` a signer you trust, '
            "or name another file with --allowed-signers",
        )
    with tempfile.TemporaryDirectory(prefix="voicectl-signature-") as folder:
        path = Path(folder) / "signature"
        path.write_bytes(signature)
        return _checked_signer(content, path, allowed_signers, name)


def _checked_signer(content: bytes, signature: Path, allowed: Path, name: str) -> str:
    by_anyone = _run(["check-novalidate", "-n", NAMESPACE, "-s", str(signature)], content)
    if by_anyone.returncode != 0:
        raise IntegrityError(f"{name}: the signature does not fit the manifest", hint=_COPY_AGAIN)
    key = _key_in(by_anyone.stdout)
    found = _run(["find-principals", "-s", str(signature), "-f", str(allowed)], b"")
    principals = found.stdout.decode(errors="replace").split()
    if found.returncode != 0 or not principals:
        raise _refusal(found.stderr, key, allowed, name)
    principal = principals[0].split(",")[0]
    checked = _run(["verify", "-n", NAMESPACE, "-I", principal, "-s", str(signature), "-f", str(allowed)], content)
    if checked.returncode != 0:
        raise _refusal(checked.stderr, key, allowed, name)
    return principal


def _run(arguments: Sequence[str], content: bytes) -> subprocess.CompletedProcess[bytes]:
    command = [_program(), "-Y", *arguments]
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    try:
        return subprocess.run(  # noqa: S603 - an argument list; the words of files are never among it
            command, input=content, capture_output=True, timeout=TIMEOUT_S, check=False, env=environment
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigError(f"{_PROGRAM} did not answer within {TIMEOUT_S:.0f} s") from error


def _program() -> str:
    found = shutil.which(_PROGRAM)
    if found is None:
        raise ConfigError(f"{_PROGRAM} is not installed", hint="install openssh-client")
    return found


def _key_in(answer: bytes) -> str:
    match = re.search(rb"with (\S+ key \S+)", answer)
    return match[1].decode(errors="replace") if match else "unknown key"


def _refusal(stderr: bytes, key: str, allowed: Path, name: str) -> IntegrityError:
    text = stderr.decode(errors="replace")
    if expired := re.search(r"key has expired: .*", text):
        return IntegrityError(
            f"{name}: signed with {key}, which {allowed} does not accept any more: {expired[0]}",
            hint="have the bundle signed with a key that is valid now; if this host's clock is wrong, set it",
        )
    if early := re.search(r"key is not yet valid: .*", text):
        return IntegrityError(
            f"{name}: signed with {key}, which {allowed} does not accept yet: {early[0]}",
            hint="if this host's clock is wrong, set it",
        )
    if "not permitted for use in signature namespace" in text:
        return IntegrityError(
            f"{name}: signed with {key}, which {allowed} does not allow to sign bundles",
            hint=f'its line needs namespaces="{NAMESPACE}"',
        )
    return IntegrityError(
        f"{name}: signed by nobody in {allowed} (with {key})",
        hint="trust the signer by adding a line to that file, after comparing the key with the signer",
    )


def _refuse_loose_form(signature: bytes, name: str) -> None:
    """Raise IntegrityError unless every byte of the signature is accounted for; ssh-keygen itself is lenient."""
    try:
        body = signature.removeprefix(_BEGIN).removesuffix(_END)
        blob = base64.b64decode(body.replace(b"\n", b""), validate=True)
        if armour(blob) != signature:
            raise ValueError("not in its canonical form")
        _refuse_unsigned_fields(blob)
    except ValueError as error:
        raise IntegrityError(f"{name}: the signature is malformed: {error}", hint=_COPY_AGAIN) from error


def armour(blob: bytes) -> bytes:
    """Return the text form of a signature."""
    text = base64.b64encode(blob)
    lines = [text[at : at + _LINE] + b"\n" for at in range(0, len(text), _LINE)]
    return b"".join([_BEGIN, *lines, _END])


def _refuse_unsigned_fields(blob: bytes) -> None:
    # PROTOCOL.sshsig: magic, version, then the strings public key, namespace, reserved, hash name, signature.
    if not blob.startswith(_MAGIC):
        raise ValueError("not an SSH signature of version 1")
    rest = blob[len(_MAGIC) :]
    fields = []
    for _ in range(5):
        length = int.from_bytes(rest[:4], "big")
        if len(rest) < 4 + length:
            raise ValueError("cut off")
        fields.append(rest[4 : 4 + length])
        rest = rest[4 + length :]
    if fields[2] or rest:
        raise ValueError("it holds bytes that nothing signs")
