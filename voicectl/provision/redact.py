"""Take secrets out of text that leaves its host: keys, passwords, tokens, credentials in addresses."""

import re
from typing import Final

HIDDEN: Final = "[redacted]"

_PATTERNS: Final = (
    # API keys of the gateway: the id stays, it is in no way secret and helps to find the key.
    (re.compile(r"\b(vk_[0-9a-f]{12})_[A-Za-z0-9_-]{8,}"), rf"\1_{HIDDEN}"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), HIDDEN),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s/:@]*):[^\s/@]+@"), rf"\1:{HIDDEN}@"),
    (re.compile(r"\b(whsec_|sk-|hf_|ghp_)[A-Za-z0-9_+/=-]{8,}"), rf"\1{HIDDEN}"),
    (
        re.compile(
            r"(?i)([\"']?\b[a-z0-9_.-]*(?:password|passwd|passphrase|secret|token|api_?key|private_?key|authorization)"
            r"[\"']?\s*[:=]\s*)(\"[^\"\n]*\"|'[^'\n]*'|[^\s,;}\]]+)"
        ),
        rf"\1{HIDDEN}",
    ),
)


def redact(text: str) -> str:
    """Return `text` without what looks like a secret."""
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text
