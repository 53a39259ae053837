"""Scorers for structured answers: JSON that parses, follows a schema, right values, CSV, tool calls."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from evaluations.answers import Answer
from evaluations.cases import Case
from evaluations.scoring.base import Score, Scored, Unscored
from evaluations.scoring.jsontext import NOTHING, Wrapping, at_path, difference, json_in, parsed, unfenced
from evaluations.scoring.reading import FULL, Compared, OfText, nothing_expected, text_of, too_slow
from evaluations.scoring.settings import Count, Size, Text
from evaluations.scoring.words import keyed, listed, plural, quoted

_DEEP = "the JSON is nested too deeply to compare"


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonValid(OfText):
    """The answer is JSON that parses."""

    wrapping: Wrapping = "fence"
    """What may stand around the JSON: none, one code fence, or prose."""
    kind: Literal["any", "object", "array"] = "any"
    """Which JSON value it has to be."""

    def judge(self, text: str) -> Score:
        value = json_in(text, self.wrapping)
        if value is NOTHING:
            return Scored(0.0, f"no JSON: {quoted(text)}")
        if (self.kind == "object" and not isinstance(value, dict)) or (
            self.kind == "array" and not isinstance(value, list)
        ):
            return Scored(0.0, f"wanted a JSON {self.kind}, said {quoted(text)}")
        return FULL


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonSchema(OfText):
    """The answer is JSON that follows a JSON Schema (draft 2020-12 unless it names another).

    A schema is trusted as its author wrote it: its `pattern`s run in Python's own engine without a time
    limit. References to other documents are never fetched.
    """

    schema: Mapping[str, Any]
    """The JSON Schema."""
    wrapping: Wrapping = "prose"
    """What may stand around the JSON: none, one code fence, or prose."""
    _validator: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError
        from jsonschema.validators import validator_for
        from referencing import Registry

        kind = validator_for(self.schema, default=Draft202012Validator)
        try:
            kind.check_schema(dict(self.schema))
        except SchemaError as error:
            raise ValueError(f"this is no JSON Schema: {error.message} at {error.json_path}") from None
        # An empty registry, because the library would otherwise fetch unknown references over the network.
        object.__setattr__(self, "_validator", kind(dict(self.schema), registry=Registry()))

    def judge(self, text: str) -> Score:
        from jsonschema.exceptions import best_match
        from referencing.exceptions import Unresolvable

        value = json_in(text, self.wrapping)
        if value is NOTHING:
            return Scored(0.0, f"no JSON: {quoted(text)}")
        try:
            error = best_match(self._validator.iter_errors(value))
        except Unresolvable as missing:
            return Unscored(f"the schema refers to what is not in it: {quoted(str(missing), 120)}")
        except RecursionError:
            return Unscored(_DEEP)
        if error is None:
            return FULL
        place = error.json_path.removeprefix("$").lstrip(".") or "the value"
        return Scored(0.0, f"{place}: {quoted(error.message, 160)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonKeys(OfText):
    """The share of wanted keys (or paths such as `customer.id`) that the answer's JSON has."""

    keys: tuple[Text, ...]
    """What has to be there."""
    allow_null: bool = False
    """Count a key whose value is null as there."""

    def judge(self, text: str) -> Score:
        value = json_in(text)
        if value is NOTHING:
            return Scored(0.0, f"no JSON: {quoted(text)}")
        lacking = [key for key in self.keys if self._lacks(value, key)]
        if not lacking:
            return FULL
        return Scored(1 - len(lacking) / len(self.keys), f"lacks {listed(lacking)}")

    def _lacks(self, value: Any, key: str) -> bool:
        there = at_path(value, key)
        return there is NOTHING or (there is None and not self.allow_null)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedJson(Compared):
    """How two JSON values are compared."""

    ignore_extra: bool = False
    """Allow keys and trailing items that the expectation does not have."""
    ignore_order: bool = False
    """Compare lists as bags."""
    ignore_case: bool = False
    """Take upper and lower case as the same within texts."""
    tolerance: Size = 0.0
    """Largest absolute difference at which two numbers still count as equal."""

    def told(self, wanted: Any, got: Any) -> str | None:
        """The first difference in words; None when they are equal."""
        return difference(
            wanted,
            got,
            ignore_extra=self.ignore_extra,
            ignore_order=self.ignore_order,
            ignore_case=self.ignore_case,
            tolerance=self.tolerance,
        )

    def values(self, case: Case, answer: Answer) -> tuple[Any, Any] | Score:
        """What is expected and what was said, as JSON values; or the score where one is missing."""
        if answer.text is None:
            return Unscored("there is no answer to score")
        wanted = self.expectation(case)
        if wanted is NOTHING or wanted is None:
            return nothing_expected(self.expected_field)
        try:
            said = self.part(answer.text)
        except TimeoutError:
            return too_slow(answer.text)
        if not isinstance(said, str):
            return said
        got = self.value(said)
        if got is NOTHING:
            return self.absent(f"no {self.sought()}", said)
        if isinstance(wanted, str) and not isinstance(got, str):
            read = parsed(wanted)  # a CSV or a template can only hold JSON as text
            wanted = wanted if read is NOTHING else read
        return wanted, got

    def value(self, said: str) -> Any:
        """The JSON value in what was said, or NOTHING."""
        return json_in(said)

    def sought(self) -> str:
        """What `value` looks for, for the reason."""
        return "JSON"


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonEquals(ComparedJson):
    """The JSON in the answer equals the expected value, whatever the order of its keys."""

    def score(self, case: Case, answer: Answer) -> Score:
        values = self.values(case, answer)
        if not isinstance(values, tuple):
            return values
        try:
            told = self.told(*values)
        except RecursionError:
            return Unscored(_DEEP)
        return FULL if told is None else Scored(0.0, told)


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonFields(ComparedJson):
    """The share of the expected object's fields that the answer's JSON has right."""

    fields: tuple[Text, ...] = ()
    """Compare only these paths; without them, every key of the expectation."""

    def score(self, case: Case, answer: Answer) -> Score:
        values = self.values(case, answer)
        if not isinstance(values, tuple):
            return values
        wanted, got = values
        if not isinstance(wanted, Mapping):
            return Unscored(f"the expectation is no object: {quoted(text_of(wanted))}")
        paths = self.fields or tuple(map(str, wanted))
        wrong: list[str] = []
        for path in paths:
            target = at_path(wanted, path)
            if target is NOTHING:
                return Unscored(f"the expectation has no field {path!r}")
            there = at_path(got, path)
            try:
                told = f"{keyed(path)} is missing" if there is NOTHING else self.told(target, there)
            except RecursionError:
                told = f"{keyed(path)} is nested too deeply"
            if told is not None:
                wrong.append(told.replace("the value", keyed(path), 1))
        if not wrong:
            return FULL
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        return Scored(1 - len(wrong) / len(paths), "; ".join(wrong[:3]) + more)


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonField(JsonEquals):
    """One field of the answer's JSON equals the expected value, type included.

    To compare a field as text or as a number people wrote, use `exact` or `number` with `answer_field`.
    """

    path: Text
    """Where the field stands, e.g. `answer` or `orders[0].id`."""

    def value(self, said: str) -> Any:
        return at_path(json_in(said), self.path)

    def sought(self) -> str:
        return f"JSON field {self.path!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall(Compared):
    """The answer calls the expected tool with the expected arguments: {"name": …, "arguments": {…}}.

    Half the score is for the name, half for the share of expected arguments that are right. Read are calls in
    the forms of OpenAI (`function`, `arguments` as text) and Anthropic (`input`); of a list, the first call.
    """

    ignore_case: bool = False
    """Take upper and lower case as the same within texts."""
    ignore_extra: bool = False
    """Allow arguments that the expectation does not have."""

    def score(self, case: Case, answer: Answer) -> Score:
        if answer.text is None:
            return Unscored("there is no answer to score")
        wanted = self.expectation(case)
        if wanted is NOTHING or wanted is None:
            return nothing_expected(self.expected_field)
        target = call_in(parsed(wanted) if isinstance(wanted, str) else wanted)
        if target is None:
            return Unscored(f"the expectation is no call of a tool: {quoted(text_of(wanted))}")
        try:
            said = self.part(answer.text)
        except TimeoutError:
            return too_slow(answer.text)
        if not isinstance(said, str):
            return said
        call = call_in(json_in(said))
        if call is None:
            return self.absent("no call of a tool", said)
        if call[0] != target[0]:
            return Scored(0.0, f"wanted a call of {quoted(target[0])}, called {quoted(call[0])}")
        return self._arguments(target[1], call[1])

    def _arguments(self, wanted: Mapping[str, Any], got: Mapping[str, Any]) -> Score:
        wrong: list[str] = []
        for name, value in wanted.items():
            try:
                told = difference(value, got.get(name, NOTHING), ignore_case=self.ignore_case, path=keyed(name))
            except RecursionError:
                told = f"{keyed(name)} is nested too deeply"
            if told is not None:
                wrong.append(f"{keyed(name)} is missing" if name not in got else told)
        extra = [] if self.ignore_extra else [str(name) for name in got if name not in wanted]
        if not wrong and not extra:
            return FULL
        names = len(wanted) + len(extra)
        why = "; ".join([*wrong[:3], *(f"{quoted(name, 40)} was not asked for" for name in extra[:2])])
        return Scored(0.5 + 0.5 * (1 - (len(wrong) + len(extra)) / names), why)


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvTable(OfText):
    """The answer is CSV with the wanted columns, every row as wide as the header."""

    columns: tuple[Text, ...] = ()
    """The header, in order; without it any header will do."""
    delimiter: Text = ","
    """The sign between cells."""
    rows: Count | None = None
    """How many rows there have to be, header aside."""

    def __post_init__(self) -> None:
        if len(self.delimiter) != 1:
            raise ValueError(f"delimiter wants one sign, got {self.delimiter!r}")

    def judge(self, text: str) -> Score:
        try:
            lines = [row for row in csv.reader(io.StringIO(unfenced(text)), delimiter=self.delimiter) if row]
        except csv.Error as error:
            return Scored(0.0, f"no CSV: {error}")
        if not lines:
            return Scored(0.0, "no CSV: the answer is blank")
        header, *body = lines
        names = tuple(cell.strip() for cell in header)
        if self.columns and names != self.columns:
            return Scored(0.0, f"wanted the columns {listed(self.columns)}, said {listed(names)}")
        for at, row in enumerate(body, start=2):
            if len(row) != len(header):
                return Scored(0.0, f"row {at} has {plural(len(row), 'cell')}, the header {len(header)}")
        if self.rows is not None and len(body) != self.rows:
            return Scored(0.0, f"{plural(len(body), 'row')}, wanted {self.rows}")
        return FULL


def call_in(value: Any) -> tuple[str, Mapping[str, Any]] | None:
    """Name and arguments of the (first) tool call that a JSON value describes, or None."""
    if isinstance(value, Mapping) and isinstance(value.get("tool_calls"), list):
        value = value["tool_calls"]
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, Mapping) and isinstance(value.get("function"), Mapping):
        value = value["function"]
    if not isinstance(value, Mapping):
        return None
    name = next((value[key] for key in ("name", "tool", "function") if isinstance(value.get(key), str)), None)
    given: Any = next((value[key] for key in ("arguments", "args", "input", "parameters") if key in value), {})
    if isinstance(given, str):
        given = parsed(given)
    return (name, given) if name is not None and isinstance(given, Mapping) else None
