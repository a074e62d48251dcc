"""Turn text into tokens and tokens into bytes with a model's own vocabulary, through llama.cpp."""

import ctypes
import re
from functools import lru_cache
from typing import Final

from voicectl.core.errors import EngineError
from voicectl.engine.llm.native import native

_PIECE_BYTES: Final = 256
_TAG: Final = re.compile(rb"\s*<[^<>\s]+>\s*")


class Vocabulary:
    """The vocabulary of a loaded model. Lives as long as the model does."""

    def __init__(self, model: object) -> None:
        """`model` is a llama.cpp model pointer."""
        self.pointer = self._vocab = native.llama_model_get_vocab(model)
        self._piece_buffer = ctypes.create_string_buffer(_PIECE_BYTES)
        self._piece = lru_cache(maxsize=8192)(self._read_piece)
        self._tags = self._find_tags()

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Return the tokens of `text`; only with `special` do markers such as `<|im_end|>` become control tokens.

        Without it tags such as `<tool_call>` are spelled out too, which are no control tokens but mean something.
        """
        encoded = text.encode("utf-8", errors="replace")
        tokens = self._tokenize(encoded, special)
        if special or self._tags.isdisjoint(tokens):
            return tokens
        spelled: list[int] = []
        for token in tokens:
            if token in self._tags:
                piece = self.piece(token)
                spelled += self._tokenize(piece[:1], special) + self._tokenize(piece[1:], special)
            else:
                spelled.append(token)
        return spelled

    def _tokenize(self, encoded: bytes, special: bool) -> list[int]:
        if not encoded:
            return []
        # A token stands for at least one byte, plus one for a prefix some vocabularies add.
        room = len(encoded) + 2
        tokens = (native.llama_token * room)()
        num_tokens = int(native.llama_tokenize(self._vocab, encoded, len(encoded), tokens, room, False, special))
        if num_tokens < 0:
            raise EngineError(f"{len(encoded)} bytes of text became {-num_tokens} tokens, room for {room}")
        return list(tokens[:num_tokens])

    def piece(self, token: int) -> bytes:
        """Return the bytes a token stands for; none for control tokens."""
        return self._piece(token)

    def ends_generation(self, token: int) -> bool:
        """Tell whether the model ends its reply with this token."""
        return bool(native.llama_vocab_is_eog(self._vocab, token))

    def start_token(self) -> int | None:
        """Return the token every prompt must begin with, if the model wants one."""
        return int(native.llama_vocab_bos(self._vocab)) if native.llama_vocab_get_add_bos(self._vocab) else None

    def special_text(self, token: int) -> str:
        """Return how a control token is written; "" for one the vocabulary does not have."""
        text = native.llama_vocab_get_text(self._vocab, token) if token >= 0 else None
        return text.decode("utf-8", errors="replace") if text else ""

    def start_text(self) -> str:
        """Return how the token that begins a prompt is written."""
        return self.special_text(int(native.llama_vocab_bos(self._vocab)))

    def end_text(self) -> str:
        """Return how the token that ends a text is written."""
        return self.special_text(int(native.llama_vocab_eos(self._vocab)))

    def _find_tags(self) -> frozenset[int]:
        """Return the tokens that stand for a whole tag and that llama.cpp finds in any text."""
        attribute = native.LLAMA_TOKEN_ATTR_USER_DEFINED
        num_tokens = int(native.llama_vocab_n_tokens(self._vocab))
        marked = (token for token in range(num_tokens) if native.llama_vocab_get_attr(self._vocab, token) & attribute)
        return frozenset(token for token in marked if _TAG.fullmatch(self._read_piece(token)))

    def _read_piece(self, token: int) -> bytes:
        buffer = self._piece_buffer
        num_bytes = int(native.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, False))
        if num_bytes < 0:
            buffer = ctypes.create_string_buffer(-num_bytes)
            num_bytes = int(native.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, False))
        return buffer.raw[: max(0, num_bytes)]
