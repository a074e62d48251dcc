"""What is kept instead of a caller's number, or of an id that may not be kept: hashes under a key."""

import hashlib
import hmac
from collections.abc import Callable
from typing import Final

_LETTERS: Final = str.maketrans("0123456789", "ghijklmnop")


def caller_hash(key: bytes) -> Callable[[str], str]:
    """Return the function that makes of a caller's number what is kept of it: HMAC-SHA256, in hex.

    Numbers are compared without spaces and punctuation, so that one caller is one key.
    """

    def keyed(caller: str) -> str:
        plain = "".join(char for char in caller.casefold() if char.isalnum() or char in "+@")
        return hmac.new(key, plain.encode("utf-8", "replace"), hashlib.sha256).hexdigest()

    return keyed


def id_hash(key: bytes) -> Callable[[str], str]:
    """Return the function that makes of an id what stands for it; of the same id the same.

    It has letters alone: among digits could be a card number again.
    """

    def keyed(name: str) -> str:
        return f"masked_{hmac.new(key, name.encode(), hashlib.sha256).hexdigest().translate(_LETTERS)}"

    return keyed
