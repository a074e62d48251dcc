"""Read one strict YAML document into a model. Knows where each key stands, and nothing of what it means."""

import difflib
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from voicectl.core.errors import VoicectlError

M = TypeVar("M", bound=BaseModel)
Place = tuple[str | int, ...]
"""The way to a key: names of keys and numbers of entries, from the top."""

MAX_BYTES: Final = 262_144
MAX_DEPTH: Final = 16
_MERGE: Final = "<<"
_DECIMAL: Final = re.compile(r"-?(0|[1-9][0-9]*)")
"""An integer as everybody reads it. To YAML 010 is 8, 3:20 is 200, and 1_0 is 10."""


@dataclass(frozen=True, slots=True)
class Document(Generic[M]):
    """A file as it was read. `sha256` is of its bytes; `lines` are those of its keys, counted from 1."""

    path: Path
    content: M
    sha256: str
    lines: Mapping[Place, int]

    def line_of(self, *place: str | int) -> int:
        """Return the line of a key, or of the nearest one above it."""
        return _line(self.lines, place)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at a place, and how to put it right."""

    place: Place
    what: str
    hint: str | None = None
    line: int | None = None


class Refused(Exception):
    """Raised to the caller of `read_document` only as its own kind of error."""

    def __init__(self, problems: Iterable[Problem], lines: Mapping[Place, int]) -> None:
        super().__init__("refused")
        self.problems = tuple(problems)
        self.lines = lines


def read_document(path: Path, model: type[M], error: type[VoicectlError], *, start: str) -> Document[M]:
    """Return the document of a file. Raises `error`, naming file, line and key; `start` is its hint without another."""
    try:
        # One more than may be read, so that a device or a huge file is never taken in whole.
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as failure:
        raise error(f"{path}: cannot be read: {failure.strerror}", hint=start) from failure
    return parse_document(path, content, model, error, start=start)


def parse_document(
    path: Path, content: bytes, model: type[M], error: type[VoicectlError], *, start: str
) -> Document[M]:
    """Return the document that is `content`; see `read_document`."""
    if len(content) > MAX_BYTES:
        raise error(f"{path}: more than {MAX_BYTES} bytes", hint=start)
    try:
        tree, lines = _parsed(content)
        parsed = _validated(tree, model, lines)
    except Refused as refused:
        raise refusal(path, refused.problems, refused.lines, error, start=start) from refused
    return Document(path, parsed, hashlib.sha256(content).hexdigest(), lines)


def refusal(
    path: Path, problems: Iterable[Problem], lines: Mapping[Place, int], error: type[VoicectlError], *, start: str
) -> VoicectlError:
    """Return the error that tells all problems, a line each, in the order of the file."""
    numbered = [(problem.line or _line(lines, problem.place), problem) for problem in problems]
    ordered = [problem for _, problem in sorted(numbered, key=lambda pair: pair[0])]
    told = [f"{path}:{line}: {_named(problem)}" for line, problem in sorted(numbered, key=lambda pair: pair[0])]
    hints = list(dict.fromkeys(problem.hint for problem in ordered if problem.hint))
    return error("\n       ".join(told), hint="; ".join(hints) or start)


def close_to(word: str, known: Iterable[str]) -> str | None:
    """Return a hint that names the known word that was probably meant."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"known here: {', '.join(names)}" if names else None


def _named(problem: Problem) -> str:
    key = ".".join(str(step) for step in problem.place)
    return f"{key}: {problem.what}" if key else problem.what


def _line(lines: Mapping[Place, int], place: Place) -> int:
    for length in range(len(place), -1, -1):
        if place[:length] in lines:
            return lines[place[:length]]
    return 1


# --- YAML ------------------------------------------------------------------------------------


def _parsed(content: bytes) -> tuple[Any, dict[Place, int]]:
    lines: dict[Place, int] = {}
    try:
        text = content.decode("utf-8")
        _refuse_tricks(text)
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            raise Refused([Problem((), "holds nothing")], {(): 1})
        problems = list(_walk(node, (), lines))
        if problems:
            raise Refused(problems, lines)
        return loader.construct_document(node), lines
    except UnicodeDecodeError as failure:
        raise Refused([Problem((), f"is not UTF-8: {failure.reason}")], {(): 1}) from failure
    except yaml.MarkedYAMLError as failure:
        mark = failure.problem_mark or failure.context_mark
        line = 1 if mark is None else mark.line + 1
        raise Refused([Problem((), f"is no plain YAML: {failure.problem or failure.context}")], {(): line}) from failure
    except (yaml.YAMLError, ValueError) as failure:
        raise Refused([Problem((), f"is no plain YAML: {str(failure).splitlines()[0]}")], {(): 1}) from failure
    except RecursionError as failure:
        raise Refused([Problem((), "is nested too deeply")], {(): 1}) from failure


def _refuse_tricks(text: str) -> None:
    """Refuse aliases, which multiply, and depth, in which the parser loses itself; reads no further than there."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = 1 if event.start_mark is None else event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise Refused([Problem((), "aliases (*name) are not allowed: write the value out")], {(): line})
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise Refused([Problem((), f"is nested more than {MAX_DEPTH} deep")], {(): line})


def _walk(node: yaml.Node, place: Place, lines: dict[Place, int]) -> Iterator[Problem]:
    """Note the line of every key, and yield what is wrong with the keys themselves."""
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.ScalarNode) and _is_disguised(node):
        yield Problem(place, f"{node.value} is no plain decimal number", line=node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _walk(item, (*place, number), lines)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value == _MERGE:
                yield Problem(place, "a key must be a plain word", line=key.start_mark.line + 1)
                continue
            inner = (*place, key.value)
            if key.value in seen:
                again = key.start_mark.line + 1
                yield Problem(inner, f"key {key.value!r} is given twice, first in line {lines[inner]}", line=again)
                continue
            seen.add(key.value)
            lines[inner] = key.start_mark.line + 1
            yield from _walk(value, inner, lines)


def _is_disguised(node: yaml.ScalarNode) -> bool:
    """Return whether YAML takes a number for another one than people do."""
    if node.tag == "tag:yaml.org,2002:int":
        return _DECIMAL.fullmatch(node.value) is None
    return node.tag == "tag:yaml.org,2002:float" and any(sign in node.value for sign in ":_")


# --- the model -------------------------------------------------------------------------------


def _validated(tree: Any, model: type[M], lines: Mapping[Place, int]) -> M:
    try:
        return model.model_validate(tree)
    except ValidationError as failure:
        problems = [_problem(one, model) for one in failure.errors(include_url=False, include_context=False)]
        raise Refused(problems, lines) from failure
    except RecursionError as failure:
        raise Refused([Problem((), "is nested too deeply")], {(): 1}) from failure


def _problem(found: ErrorDetails, model: type[BaseModel]) -> Problem:
    place = tuple(found["loc"])
    if place and place[-1] == "[key]":
        known = _words(found["msg"])
        return Problem(place[:-1], f"unknown name {place[-2]!r}", close_to(str(place[-2]), known))
    match found["type"]:
        case "extra_forbidden":
            return Problem(place, "unknown key", close_to(str(place[-1]), _keys(model, place[:-1])))
        case "missing":
            return Problem(place, "required, but not set")
        case "literal_error":
            known = _words(found["msg"])
            return Problem(place, f"{found['input']!r} is not known", close_to(str(found["input"]), known))
        case "value_error":
            return Problem(place, found["msg"].removeprefix("Value error, "))
        case _:
            return Problem(place, f"{found['input']!r} refused: {found['msg'][:1].lower()}{found['msg'][1:]}")


def _words(message: str) -> list[str]:
    """Return the quoted words of pydantic's message about a literal."""
    return message.split("'")[1::2]


def _keys(model: type[BaseModel], place: Place) -> list[str]:
    """Return the keys that may stand at a place."""
    kind: Any = model
    for step in place:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            named = {field.alias or name: field for name, field in kind.model_fields.items()}
            if step not in named:
                return []
            kind = named[str(step)].annotation
        kind = _inner(kind, step)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [field.alias or name for name, field in kind.model_fields.items()]
    return []


def _inner(kind: Any, step: str | int) -> Any:
    """Return the model that is, or is held by, an annotation: itself, an entry of a list, a value of a mapping."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind
    for argument in get_args(kind):
        found = _inner(argument, step)
        if found is not None:
            return found
    return None
