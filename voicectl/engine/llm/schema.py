"""Turn JSON schemas into grammar rules, refusing what could not be kept or would overwhelm the parser."""

import json
from collections.abc import Mapping
from typing import Final

from voicectl.core.errors import RequestRejected
from voicectl.engine.llm.native import SchemaConverter

Schema = dict[str, object]

MAX_SCHEMA_BYTES: Final = 64_000
MAX_NODES: Final = 400
MAX_DEPTH: Final = 16
MAX_CHOICES: Final = 256
MAX_ITEMS: Final = 64
MAX_LENGTH: Final = 256
MAX_RULES_BYTES: Final = 500_000

_TYPES: Final = ("string", "number", "integer", "boolean", "null", "array", "object")
_FORMATS: Final = ("date", "time", "date-time", "uuid")
_ANYTHING: Final[Schema] = {"type": "value"}
_NOT_ENFORCED: Final = (
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "uniqueItems",
    "contains",
    "patternProperties",
    "propertyNames",
    "minProperties",
    "maxProperties",
    "dependentRequired",
    "dependentSchemas",
    "not",
    "if",
)
_LOOSE_CHARACTER: Final = r'char ::= [^"\\] |'
_STRICT_CHARACTER: Final = r'char ::= [^"\\\x00-\x1F\x7F] |'
"""JSON forbids bare control characters in strings; the converter's own rule allows them."""
_FAILURES: Final = (ValueError, TypeError, KeyError, AttributeError, AssertionError, RecursionError)
"""What the converter raises for schemas it does not understand."""


class GrammarRules:
    """Grammar rules of one or more schemas, under names that do not clash."""

    def __init__(self) -> None:
        self._converter = SchemaConverter(prop_order={}, allow_fetch=False, dotall=False, raw_pattern=False)

    def add_reply(self, schema: str, name: str) -> str:
        """Add a schema that must be kept word by word, and return its rule. Raises RequestRejected."""
        return self._add(_Reader(is_strict=True).read(schema), name)

    def add_arguments(self, schema: str, name: str) -> str:
        """Add the schema of a function's arguments, an object; limits no grammar can express are left out.

        Who carries out a call checks its arguments in any case. Raises RequestRejected.
        """
        read = _Reader(is_strict=False).read(schema)
        if read == _ANYTHING:
            read = {"type": "object"}
        if read.get("type") != "object":
            raise RequestRejected("the schema of its arguments is not of type object")
        return self._add(read, name)

    def text(self) -> str:
        """Return all rules. Raises RequestRejected when they are too many."""
        rules: str = self._converter.format_grammar()
        if len(rules) > MAX_RULES_BYTES:
            raise RequestRejected(f"the schema makes a grammar of {len(rules)} bytes, at most {MAX_RULES_BYTES}")
        return rules.replace(_LOOSE_CHARACTER, _STRICT_CHARACTER)

    def _add(self, schema: Schema, name: str) -> str:
        try:
            return str(self._converter.visit(schema, name))
        except _FAILURES as error:
            raise RequestRejected(f"the schema cannot be enforced: {type(error).__name__}: {error}") from error


def literal(text: str) -> str:
    """Return a grammar literal that stands for `text`."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t") + '"'


class _Reader:
    """Reads one schema into the keywords that the converter understands, with references put in place."""

    def __init__(self, *, is_strict: bool) -> None:
        self._is_strict = is_strict
        self._root: Mapping[str, object] = {}
        self._num_nodes = 0

    def read(self, text: str) -> Schema:
        if len(text) > MAX_SCHEMA_BYTES:
            raise RequestRejected(f"the schema is {len(text)} bytes long, at most {MAX_SCHEMA_BYTES}")
        try:
            root = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RequestRejected(f"the schema is no JSON: {error}") from error
        if not isinstance(root, dict):
            raise RequestRejected("the schema is no JSON object")
        self._root = root
        return self._node(root, "$", 0)

    def _node(self, node: object, path: str, depth: int) -> Schema:
        self._num_nodes += 1
        if depth > MAX_DEPTH or self._num_nodes > MAX_NODES:
            raise RequestRejected(
                f"the schema has more than {MAX_DEPTH} levels or {MAX_NODES} parts, or refers to itself, at {path}"
            )
        if node is True:
            return dict(_ANYTHING)
        if not isinstance(node, dict):
            raise RequestRejected(f"{path} is no schema")
        self._refuse_unenforced(node, path)
        if "$ref" in node:
            return self._node(self._target(node["$ref"], path), path, depth + 1)
        for keyword in ("anyOf", "oneOf"):
            if keyword in node:
                return {"anyOf": self._nodes(node[keyword], f"{path}.{keyword}", depth)}
        if "allOf" in node:
            parts = node["allOf"]
            if not isinstance(parts, list) or len(parts) != 1:
                raise RequestRejected(f"{path}.allOf: only one schema can be enforced there")
            return self._node(parts[0], f"{path}.allOf", depth + 1)
        return self._typed(node, path, depth)

    def _typed(self, node: Mapping[str, object], path: str, depth: int) -> Schema:
        if "const" in node:
            return {"const": node["const"]}
        if "enum" in node:
            return {"enum": _list(node["enum"], f"{path}.enum", MAX_CHOICES)}
        return self._of_type(node, path, depth)

    def _of_type(self, node: Mapping[str, object], path: str, depth: int) -> Schema:
        kind = node["type"] if "type" in node else _implied_type(node)
        if isinstance(kind, list):
            ways = [{**node, "type": one} for one in _list(kind, f"{path}.type", len(_TYPES))]
            return {"anyOf": self._nodes(ways, path, depth)}
        if kind is None:
            return dict(_ANYTHING)
        if not isinstance(kind, str) or kind not in _TYPES:
            raise RequestRejected(f"{path}.type is {kind!r}, JSON has {', '.join(_TYPES)}")
        if kind == "object":
            return self._object(node, path, depth)
        if kind == "array":
            return self._array(node, path, depth)
        if kind == "string":
            return self._string(node, path)
        return {"type": kind}

    def _object(self, node: Mapping[str, object], path: str, depth: int) -> Schema:
        properties = node.get("properties", {})
        required = _list(node.get("required", []), f"{path}.required", MAX_ITEMS, least=0)
        if not isinstance(properties, dict) or not all(isinstance(name, str) for name in required):
            raise RequestRejected(f"{path}: properties must be an object, required a list of names")
        if len(properties) > MAX_ITEMS:
            raise RequestRejected(f"{path}: {len(properties)} properties, at most {MAX_ITEMS}")
        extra = node.get("additionalProperties")
        read = {name: self._node(one, f"{path}.{name}", depth + 1) for name, one in properties.items()}
        for name in required:
            read.setdefault(str(name), dict(_ANYTHING))
        if not read and extra is None:
            return {"type": "object"}
        schema: Schema = {"type": "object", "properties": read, "required": required}
        if isinstance(extra, dict) or extra is True:
            schema["additionalProperties"] = self._node(extra, f"{path}.additionalProperties", depth + 1)
        return schema

    def _array(self, node: Mapping[str, object], path: str, depth: int) -> Schema:
        if "prefixItems" in node:
            return {"type": "array", "prefixItems": self._nodes(node["prefixItems"], f"{path}.prefixItems", depth)}
        schema: Schema = {"type": "array", "items": self._node(node.get("items", True), f"{path}.items", depth + 1)}
        for keyword in ("minItems", "maxItems"):
            if keyword in node:
                schema[keyword] = _count(node[keyword], f"{path}.{keyword}", MAX_ITEMS)
        _refuse_crossed(schema, "minItems", "maxItems", path)
        return schema

    def _string(self, node: Mapping[str, object], path: str) -> Schema:
        if node.get("format") in _FORMATS:
            return {"type": "string", "format": node["format"]}
        schema: Schema = {"type": "string"}
        if "minLength" in node:
            schema["minLength"] = _count(node["minLength"], f"{path}.minLength", MAX_LENGTH)
        longest = node.get("maxLength")
        if isinstance(longest, int) and longest > MAX_LENGTH and not self._is_strict:
            longest = None
        if longest is not None:
            schema["maxLength"] = _count(longest, f"{path}.maxLength", MAX_LENGTH)
        _refuse_crossed(schema, "minLength", "maxLength", path)
        return schema

    def _nodes(self, nodes: object, path: str, depth: int) -> list[Schema]:
        return [
            self._node(one, f"{path}.{index}", depth + 1) for index, one in enumerate(_list(nodes, path, MAX_ITEMS))
        ]

    def _target(self, reference: object, path: str) -> object:
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise RequestRejected(f"{path}: a reference must point into the schema itself, as #/$defs/name does")
        target: object = self._root
        for part in reference.split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, dict) or name not in target:
                raise RequestRejected(f"{path}: {reference} points nowhere")
            target = target[name]
        return target

    def _refuse_unenforced(self, node: Mapping[str, object], path: str) -> None:
        found = [keyword for keyword in _NOT_ENFORCED if keyword in node]
        if found and self._is_strict:
            raise RequestRejected(
                f"{path}: {found[0]} cannot be enforced", hint="leave it out and check the reply for it"
            )


def _implied_type(node: Mapping[str, object]) -> str | None:
    if "properties" in node or "required" in node:
        return "object"
    return "array" if "items" in node or "prefixItems" in node else None


def _list(found: object, path: str, most: int, *, least: int = 1) -> list[object]:
    if not isinstance(found, list) or not least <= len(found) <= most:
        raise RequestRejected(f"{path} must be a list of {least} to {most} entries")
    return found


def _count(found: object, path: str, most: int) -> int:
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found <= most:
        raise RequestRejected(f"{path} must be a whole number from 0 to {most}")
    return found


def _refuse_crossed(schema: Schema, low: str, high: str, path: str) -> None:
    least, most = schema.get(low, 0), schema.get(high)
    if isinstance(least, int) and isinstance(most, int) and least > most:
        raise RequestRejected(f"{path}: {low} is above {high}")
