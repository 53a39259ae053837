"""Settings of a scorer: from what a suite's YAML says to a scorer, and from a scorer to a JSON Schema of
its settings.

A scorer's fields are its settings. Their types say what is allowed, and the text under each field says what
it does: both are read here, so that the check, the editor's completion and the documentation cannot
disagree.
"""

import ast
import inspect
import math
import textwrap
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from decimal import Decimal, InvalidOperation
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from evaluations.errors import AssayError, unknown_name
from evaluations.scoring.regexes import compiled

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A condition on a setting: in words, as JSON Schema, and as a check."""

    wants: str
    schema: Mapping[str, Any]
    holds: Callable[[Any], bool]


def _is_regex(pattern: str) -> bool:
    compiled(pattern)
    return True


Count = Annotated[int, Rule("a whole number of 0 or more", {"minimum": 0}, lambda n: n >= 0)]
Positive = Annotated[int, Rule("a whole number of 1 or more", {"minimum": 1}, lambda n: n >= 1)]
Size = Annotated[float, Rule("a number of 0 or more", {"minimum": 0}, lambda x: x >= 0)]
Scale = Annotated[float, Rule("a number above 0", {"exclusiveMinimum": 0}, lambda x: x > 0)]
Share = Annotated[float, Rule("a fraction from 0 to 1", {"minimum": 0, "maximum": 1}, lambda x: 0 <= x <= 1)]
Money = Annotated[Decimal, Rule("an amount of 0 or more", {"minimum": 0}, lambda x: x >= 0)]
Text = Annotated[str, Rule("a text that is not empty", {"minLength": 1}, bool)]
Pattern = Annotated[str, Rule("a regular expression", {"format": "regex"}, _is_regex)]


def make(name: str, kind: type[T], settings: Mapping[str, Any]) -> T:
    """A scorer of this kind with these settings, each checked against its field.

    Raises AssayError for a setting that the scorer does not have, lacks, or cannot use.
    """
    known = {field.name: field for field in fields_of(kind)}
    hints = hints_of(kind)
    values: dict[str, Any] = {}
    for key, value in settings.items():
        if key not in known:
            raise AssayError(f"scorer {name!r}: {unknown_name('setting', str(key), list(known))}")
        try:
            values[key] = _checked(value, hints[key])
        except ValueError as error:
            raise AssayError(f"scorer {name!r}, setting {key!r}: {error}.") from None
    for key, field in known.items():
        if key not in values and _is_required(field):
            raise AssayError(f"scorer {name!r} needs the setting {key!r}: {_descriptions(kind).get(key, '')}")
    try:
        return kind(**values)
    except ValueError as error:
        raise AssayError(f"scorer {name!r}: {error}.") from None


def schema_of(kind: type[Any]) -> dict[str, Any]:
    """JSON Schema of the settings of one kind of scorer: an object with a property per setting."""
    hints, descriptions = hints_of(kind), _descriptions(kind)
    properties: dict[str, Any] = {}
    for field in fields_of(kind):
        entry = _type_schema(hints[field.name])
        entry["description"] = descriptions.get(field.name, field.name)
        if not _is_required(field):
            entry["default"] = _plain(_default(field))
        properties[field.name] = entry
    schema: dict[str, Any] = {
        "type": "object",
        "description": one_line(kind),
        "properties": properties,
        "additionalProperties": False,
    }
    if required := [field.name for field in fields_of(kind) if _is_required(field)]:
        schema["required"] = required
    return schema


def fields_of(kind: type[Any]) -> list[Field[Any]]:
    """The fields that a suite may set: what `__init__` takes."""
    return [field for field in fields(kind) if field.init]


def one_line(kind: type[Any]) -> str:
    """The first paragraph of the docstring, on one line: what the scorer does."""
    return " ".join((inspect.getdoc(kind) or kind.__name__).split("\n\n")[0].split())


_HINTS: dict[type[Any], dict[str, Any]] = {}


def hints_of(kind: type[Any]) -> dict[str, Any]:
    """The types of the fields. Kept, because a case may bring assertions that are built with every answer."""
    hints = _HINTS.get(kind)
    if hints is None:
        hints = _HINTS[kind] = get_type_hints(kind, include_extras=True)
    return hints


def _descriptions(kind: type[Any]) -> dict[str, str]:
    """The text under each field, own and inherited."""
    found: dict[str, str] = {}
    for owner in reversed(inspect.getmro(kind)):
        if "__dataclass_fields__" in owner.__dict__:
            found |= _own_descriptions(owner)
    return found


@cache
def _own_descriptions(owner: type[Any]) -> Mapping[str, str]:
    """Read from the source, because Python does not keep it; once, because a suite asks for every scorer it has."""
    found: dict[str, str] = {}
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(owner)))
    except (OSError, TypeError, SyntaxError):  # no source at hand, e.g. typed into a notebook
        return found
    body = next((node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef)), [])
    for node, following in pairwise(body):
        if (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
            and isinstance(following.value.value, str)
        ):
            found[node.target.id] = " ".join(following.value.value.split())
    return found


def _is_required(field: Field[Any]) -> bool:
    return _default(field) is MISSING


def _default(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return float(value) if isinstance(value, Decimal) else value


def _checked(value: Any, wanted: Any) -> Any:
    """The value as the field keeps it. Raises ValueError with what was given and what would do."""
    origin, args = get_origin(wanted), get_args(wanted)
    if wanted is Any:
        return value
    if origin is Annotated:
        checked = _checked(value, args[0])
        for rule in args[1:]:
            if not rule.holds(checked):
                raise ValueError(f"wants {rule.wants}, got {value!r}")
        return checked
    if origin in (Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        return _checked(value, next(arg for arg in args if arg is not type(None)))
    if origin is Literal:
        if value not in args or isinstance(value, bool) is not isinstance(args[0], bool):
            raise ValueError(_wrong_choice(value, args))
        return value
    if origin is tuple:
        # One value may stand for a list of one: `texts: refund` reads better than `texts: [refund]`.
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(_checked(item, args[0]) for item in items)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise ValueError(f"wants an object with keys and values, got {_named(value)}")
        return value
    return _checked_scalar(value, wanted)


def _checked_scalar(value: Any, wanted: type[Any]) -> Any:
    is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    if wanted is bool:
        if not isinstance(value, bool):
            raise ValueError(f"wants true or false, got {_named(value)}")
        return value
    if wanted is int:
        if not is_number or value != value or value in (math.inf, -math.inf) or value != int(value):
            raise ValueError(f"wants a whole number, got {_named(value)}")
        return int(value)
    if wanted is float:
        if not is_number or not math.isfinite(value):
            raise ValueError(f"wants a number, got {_named(value)}")
        return float(value)
    if wanted is Decimal:
        try:
            amount = Decimal(str(value)) if is_number or isinstance(value, str) else Decimal("NaN")
        except InvalidOperation:
            amount = Decimal("NaN")
        if not amount.is_finite():
            raise ValueError(f"wants an amount such as 0.002, got {_named(value)}")
        return amount
    if wanted is str:
        if not isinstance(value, str):
            # YAML reads yes, 12 and 2024-01-01 as something else than text.
            raise ValueError(f"wants text, got {_named(value)}: write it in quotes")
        return value
    raise TypeError(f"a scorer's field has a type that settings do not know: {wanted!r}")


def _named(value: Any) -> str:
    shown = repr(value)
    return f"{type(value).__name__} {shown if len(shown) <= 60 else shown[:57] + '…'}"


def _wrong_choice(value: Any, allowed: tuple[Any, ...]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(str(value), [str(choice) for choice in allowed], n=1)
    guess = f"; did you mean {near[0]!r}?" if near else "."
    return f"got {value!r}{guess} Allowed: {', '.join(str(choice) for choice in allowed)}"


_JSON_TYPES: Mapping[Any, Mapping[str, Any]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    Decimal: {"type": ["number", "string"]},
    str: {"type": "string"},
}


def _type_schema(wanted: Any) -> dict[str, Any]:
    origin, args = get_origin(wanted), get_args(wanted)
    if wanted is Any:
        return {}
    if origin is Annotated:
        schema = _type_schema(args[0])
        for rule in args[1:]:
            schema |= rule.schema
        return schema
    if origin in (Union, types.UnionType):
        inner = _type_schema(next(arg for arg in args if arg is not type(None)))
        return {"anyOf": [inner, {"type": "null"}]}
    if origin is Literal:
        return {"enum": list(args)}
    if origin is tuple:
        item = _type_schema(args[0])
        return {"anyOf": [item, {"type": "array", "items": item}]}
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object"}
    return dict(_JSON_TYPES[wanted])
