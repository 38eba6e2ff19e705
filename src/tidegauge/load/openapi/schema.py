"""Does a value hold to its schema, as far as schemas are simple: types, required keys, items, enums, alternatives.

What is not understood is not judged: a keyword of another kind lets everything through, so that whatever `mismatch`
names is wrong by the document's own words. Bounds: DEPTH_MAX levels, ITEMS_MAX items of a list.
"""

from typing import Any

DEPTH_MAX = 20
ITEMS_MAX = 100
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


def resolved(node: Any, document: dict[str, Any]) -> dict[str, Any]:
    """What stands where `$ref` points; a reference that leads nowhere says nothing."""
    for _ in range(DEPTH_MAX):
        if not isinstance(node, dict):
            return {}
        reference = node.get("$ref")
        if not isinstance(reference, str):
            return node
        found: Any = document if reference.startswith("#/") else {}
        for part in reference.removeprefix("#/").split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            found = found.get(key) if isinstance(found, dict) else None
        node = found
    return {}


def mismatch(value: Any, schema: Any, document: dict[str, Any], where: str = "$", depth: int = 0) -> str:
    """The first thing that is wrong, with its place, or nothing."""
    rule = resolved(schema, document)
    if depth > DEPTH_MAX or (value is None and rule.get("nullable")):
        return ""
    wrong = _in_parts(value, rule, document, where, depth) or _alone(value, rule, where)
    if not wrong and isinstance(value, dict):
        return _in_object(value, rule, document, where, depth)
    if not wrong and isinstance(value, list):
        items = rule.get("items", {})
        found = (
            mismatch(each, items, document, f"{where}[{n}]", depth + 1) for n, each in enumerate(value[:ITEMS_MAX])
        )
        return next(filter(None, found), "")
    return wrong


def _in_parts(value: Any, rule: dict[str, Any], document: dict[str, Any], where: str, depth: int) -> str:
    """What it must be all of, and one of."""
    for part in rule.get("allOf", []):
        if wrong := mismatch(value, part, document, where, depth + 1):
            return wrong
    for keyword in ("anyOf", "oneOf"):
        ways = [mismatch(value, each, document, where, depth + 1) for each in rule.get(keyword, [])]
        if ways and all(ways):
            return f"{where} is none of its alternatives: {ways[0]}"
    return ""


def _alone(value: Any, rule: dict[str, Any], where: str) -> str:
    """What the value itself must be."""
    names = rule.get("type", [])
    names = [names] if isinstance(names, str) else names
    if names and not any(_is(value, name) for name in names):
        return f"{where} is {_name(value)}, not {' or '.join(names)}"
    if "enum" in rule and value not in rule["enum"]:
        return f"{where} is {_short(value)}, none of its enum"
    if "const" in rule and value != rule["const"]:
        return f"{where} is {_short(value)}, not {rule['const']!r}"
    return ""


def _in_object(value: dict[str, Any], rule: dict[str, Any], document: dict[str, Any], where: str, depth: int) -> str:
    properties = rule.get("properties") or {}
    for key in rule.get("required") or []:
        if key not in value:
            return f"{where} lacks {key!r}"
    for key, each in value.items():
        further = properties.get(key, rule.get("additionalProperties", {}))
        if further is False:
            return f"{where} has {key!r}, which is not declared"
        if wrong := mismatch(each, further, document, f"{where}.{key}", depth + 1):
            return wrong
    return ""


def _is(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()  # JSON knows numbers only
    return isinstance(value, TYPES.get(name, (object,)))


def _name(value: Any) -> str:
    return next((name for name in TYPES if _is(value, name)), type(value).__name__)


def _short(value: Any) -> str:
    return repr(value)[:80]
