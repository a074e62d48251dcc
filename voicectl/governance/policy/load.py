"""Load a gate policy from its file, or the packaged one, and name it by digests."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import rfc8785

from voicectl.governance.policy.contradictions import contradictions
from voicectl.governance.policy.document import Document, parse_document, read_document, refusal
from voicectl.governance.policy.errors import PolicyInvalid
from voicectl.governance.policy.schema import Policy

PACKAGED: Final = Path(__file__).with_name("default.yaml")
_START: Final = f"start from the packaged policy, {PACKAGED}"


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    """A policy and its names: `sha256` of the file's bytes, which sign-offs bind; `digest` of what it says."""

    document: Document[Policy]
    digest: str

    @property
    def policy(self) -> Policy:
        """What it says."""
        return self.document.content

    @property
    def path(self) -> Path:
        """Its file."""
        return self.document.path

    @property
    def sha256(self) -> str:
        """The sha256 of the file's bytes."""
        return self.document.sha256


def load_policy(path: Path | None = None) -> LoadedPolicy:
    """Return the policy of a file, by default the packaged one. Raises PolicyInvalid, naming file, line and key."""
    return _checked(read_document(path or PACKAGED, Policy, PolicyInvalid, start=_START))


def parse_policy(path: Path, content: bytes) -> LoadedPolicy:
    """Return the policy that is `content`. Raises PolicyInvalid."""
    return _checked(parse_document(path, content, Policy, PolicyInvalid, start=_START))


def _checked(document: Document[Policy]) -> LoadedPolicy:
    problems = list(contradictions(document.content))
    if problems:
        raise refusal(document.path, problems, document.lines, PolicyInvalid, start=_START)
    canonical = rfc8785.dumps(document.content.model_dump(mode="json", by_alias=True))
    return LoadedPolicy(document, hashlib.sha256(canonical).hexdigest())
