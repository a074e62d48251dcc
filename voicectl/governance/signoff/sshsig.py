"""Sign and check with OpenSSH's keys, those on devices and in agents included. Knows no statements."""

import base64
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from voicectl.core.errors import ConfigError, UsageError
from voicectl.governance.policy.errors import SignOffMissing

NAMESPACE: Final = "voicectl-gate"
MAGIC: Final = b"SSHSIG" + (1).to_bytes(4, "big")
TIMEOUT_S: Final = 30.0
"""Longest time for a check; signing has no limit, for a person may have to touch a key."""
_BEGIN: Final = "-----BEGIN SSH SIGNATURE-----\n"
_END: Final = "-----END SSH SIGNATURE-----\n"
_LINE: Final = 70


def sign(content: bytes, key: Path) -> bytes:
    """Return the signature of a private key, or of the public half of one in the ssh agent. Raises UsageError."""
    command = [_program(), "-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(key)]
    # stderr and the terminal stay with the person, who is asked there for a passphrase or a touch.
    finished = subprocess.run(command, input=content, stdout=subprocess.PIPE, check=False)  # noqa: S603 - a list
    text = finished.stdout.decode("ascii", errors="replace")
    if finished.returncode != 0 or not text.startswith(_BEGIN):
        raise UsageError(
            f"{key}: ssh-keygen did not sign (status {finished.returncode})",
            hint="its own words are above; a key on a device or in the agent is named by its .pub file",
        )
    return base64.b64decode(text.removeprefix(_BEGIN).removesuffix(_END).replace("\n", ""))


def is_signed(content: bytes, signature: bytes, public_key: str) -> bool:
    """Tell whether a signature is of this key over these bytes, and every byte of it is accounted for."""
    if not _is_whole(signature):
        return False
    with tempfile.TemporaryDirectory(prefix="voicectl-gate-") as name:
        folder = Path(name)
        (folder / "signature").write_text(_armour(signature), encoding="ascii")
        (folder / "signers").write_text(f'signer namespaces="{NAMESPACE}" {public_key}\n', encoding="utf-8")
        command = [_program(), "-Y", "verify", "-n", NAMESPACE, "-I", "signer"]
        command += ["-s", str(folder / "signature"), "-f", str(folder / "signers")]
        try:
            finished = subprocess.run(  # noqa: S603 - an argument list; the words of files are never among it
                command,
                input=content,
                capture_output=True,
                timeout=TIMEOUT_S,
                check=False,
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            )
        except subprocess.TimeoutExpired as error:
            raise SignOffMissing(f"ssh-keygen did not answer within {TIMEOUT_S:.0f} s") from error
    return finished.returncode == 0


def _is_whole(blob: bytes) -> bool:
    # PROTOCOL.sshsig: magic, version, then the strings public key, namespace, reserved, hash name, signature.
    if not blob.startswith(MAGIC):
        return False
    rest, fields = blob[len(MAGIC) :], []
    for _ in range(5):
        length = int.from_bytes(rest[:4], "big")
        if len(rest) < 4 + length:
            return False
        fields.append(rest[4 : 4 + length])
        rest = rest[4 + length :]
    return not rest and not fields[2]


def _armour(blob: bytes) -> str:
    text = base64.b64encode(blob).decode("ascii")
    return _BEGIN + "".join(text[at : at + _LINE] + "\n" for at in range(0, len(text), _LINE)) + _END


def _program() -> str:
    found = shutil.which("ssh-keygen")
    if found is None:
        raise ConfigError("ssh-keygen is not installed", hint="install openssh-client, or sign with an Ed25519 PEM key")
    return found
