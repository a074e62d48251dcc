"""Reviewers with keys of their own, and a statement for them to sign."""

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from voicectl.governance.signoff.reviewers import Reviewers, read_reviewers
from voicectl.governance.signoff.statement import Bindings, Signed

NOW = 1_800_000_000.0
ROLES = {"one": "voice_ai_owner", "two": "compliance_officer"}
BINDINGS = Bindings(*(letter * 64 for letter in "0123456"))


@dataclass(frozen=True)
class Panel:
    """The file of reviewers, and the private key of each, with one of somebody who is not in it."""

    reviewers: Reviewers
    keys: dict[str, Path]


def panel(folder: Path) -> Panel:
    keys, lines = {}, []
    for name in ("one", "two", "stranger"):
        key = Ed25519PrivateKey.generate()
        keys[name] = folder / name
        keys[name].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        keys[name].chmod(0o600)
        public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        if name in ROLES:
            lines.append(f"- {{name: Reviewer {name}, roles: [{ROLES[name]}], key: {public.decode()}}}\n")
    file = folder / "reviewers.yaml"
    file.write_text("apiVersion: voicectl/v1\nkind: GateReviewers\nreviewers:\n" + "".join(lines))
    return Panel(read_reviewers(file), keys)


def statement(name: str, **changes: object) -> Signed:
    facts = {
        "tier": "medium",
        "use_cases": ("account_changes",),
        "as_of": NOW,
        "reviewer": f"Reviewer {name}",
        "role": ROLES.get(name, "voice_ai_owner"),
        "date": NOW,
        "expires_at": NOW + 14 * 86_400,
        **changes,
    }
    return Signed(**facts)  # type: ignore[arg-type]
