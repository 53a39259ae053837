"""Prompts: templates in a sandbox, rendered once per case into the messages that a model gets.

Templates are Jinja, cut down to what a prompt needs: text, variables, conditions, loops and a list of
filters. Values are data: whatever a case holds is inserted as it is and never read as a template. Nothing is
escaped (a prompt is plain text); lists and objects are written as JSON. What a template can cost is bounded:

- no macros, blocks, includes or recursive loops; no methods but the listed ones, nothing private
- `range` goes up to MAX_RANGE, and all loops of a message together take at most MAX_STEPS turns
- one message writes at most MAX_CHARACTERS, what it sets aside on the way included

so a template that somebody else wrote may be wrong, but it ends, and it does not fill the memory.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from jinja2 import StrictUndefined, TemplateError, Undefined, UndefinedError, meta, nodes, pass_context
from jinja2.environment import Template
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from evaluations.errors import AssayError, unknown_name
from evaluations.specs import MessageSpec, PromptSpec, VariableSpec, content_hash
from tasks.documents import parse_document, read_document

Message = Mapping[str, Any]
"""One chat message in OpenAI's form: {"role": "user", "content": "..."}."""

MAX_RANGE = 1_000
MAX_STEPS = 20_000
MAX_CHARACTERS = 4_000_000
"""About a million tokens: more than any model reads."""


class PromptError(AssayError):
    """A prompt that cannot be rendered: in itself, or for one case, which then ends in its own error."""


def load_prompt(path: Path) -> PromptSpec:
    """The prompt in a YAML file, with its templates compiled once as a check.

    Raises AssayError with file, line and column.
    """
    document = read_document(path, "prompt")
    prompt = parse_document(document, PromptSpec, "prompt")
    try:
        template_of(prompt)
    except PromptError as problem:
        raise AssayError(f"{document.place(())}: {problem}") from None
    return prompt


@lru_cache(maxsize=256)
def _compiled(prompt: str) -> "PromptTemplate":
    return PromptTemplate(PromptSpec.model_validate_json(prompt))


def template_of(prompt: PromptSpec) -> "PromptTemplate":
    """The compiled prompt; compiled once per content. Raises PromptError if a template is wrong."""
    return _compiled(prompt.model_dump_json())


def used_variables(prompt: PromptSpec) -> frozenset[str]:
    """The variables that a prompt's templates use, histories among them; `inputs` where one takes all of them.

    Raises PromptError if a template is wrong.
    """
    used = {turn.history for turn in prompt.turns if turn.history is not None}
    for turn in (MessageSpec(role="system", content=prompt.system or ""), *prompt.turns):
        if turn.content is not None:
            used |= meta.find_undeclared_variables(_parse(turn.content, f"{prompt.label}, {turn.role}"))
    return frozenset(used - set(ENVIRONMENT.globals))


def render_hash(messages: Sequence[Message]) -> str:
    """SHA-256 of the messages as a model gets them."""
    return content_hash([dict(message) for message in messages])


class PromptTemplate:
    """A compiled prompt. Holds no state between renderings, so threads may share it.

    Raises PromptError, when made, if a template is wrong or uses a variable that is not declared.
    """

    def __init__(self, prompt: PromptSpec) -> None:
        self.prompt = prompt
        self._checks = tuple((name, spec, CHECKS[spec.type]) for name, spec in prompt.variables.items())
        head: list[_Part] = []
        if prompt.system is not None:
            head.append(self._part("system", prompt.system))
        question = _compile(prompt.question, f"{prompt.label}, user") if prompt.few_shot else None
        for example in prompt.few_shot:
            asked = example.user
            if asked is None and question is not None:
                asked = question(self._checked(example.inputs or {}, where=f"{prompt.label}, few_shot"))
            head.append(_fixed("user", asked or ""))
            head.append(_fixed("assistant", example.assistant))
        self._parts = (*head, *(self._turn(turn) for turn in prompt.turns))
        if prompt.output_schema is not None:
            _check_schema(prompt)

    def render(self, inputs: Mapping[str, Any]) -> list[Message]:
        """The messages for one case. Raises PromptError, naming the variable, if the inputs do not fit."""
        values = self._checked(inputs, where=self.prompt.label)
        messages: list[Message] = []
        for part in self._parts:
            part(values, messages)
        return messages

    def _turn(self, turn: MessageSpec) -> "_Part":
        if turn.history is not None:
            return _history(turn.history, self.prompt.label)
        return self._part(turn.role or "user", turn.content or "")

    def _part(self, role: str, source: str) -> "_Part":
        where = f"{self.prompt.label}, {role}"
        if self.prompt.variables:
            self._refuse_undeclared(source, where)
        render = _compile(source, where)

        def part(values: Mapping[str, Any], messages: list[Message]) -> None:
            messages.append({"role": role, "content": render(values)})

        return part

    def _refuse_undeclared(self, source: str, where: str) -> None:
        declared = [*self.prompt.variables, "inputs"]
        for name in sorted(meta.find_undeclared_variables(_parse(source, where))):
            if name not in declared and name not in ENVIRONMENT.globals:
                raise PromptError(f"{where}: {unknown_name('variable', name, declared)}")

    def _checked(self, inputs: Mapping[str, Any], *, where: str) -> Mapping[str, Any]:
        """The template's values: inputs of their declared types, and defaults for what is not there."""
        if not self._checks:
            return inputs
        values = dict(inputs)
        for name, spec, fits in self._checks:
            value = values.get(name)
            if value is None:
                values[name] = _substitute(name, spec, where)
            elif not fits(value):
                raise PromptError(f"{where}: {name} is {_short(value)}, not {WORDS[spec.type]}")
        return values


_Part = Callable[[Mapping[str, Any], list[Message]], None]


def _fixed(role: str, text: str) -> _Part:
    message: Message = {"role": role, "content": text}

    def part(values: Mapping[str, Any], messages: list[Message]) -> None:
        messages.append(message)

    return part


def _history(name: str, where: str) -> _Part:
    """A case's own messages. Only user and assistant speak in them: the system message is the prompt's."""

    def part(values: Mapping[str, Any], messages: list[Message]) -> None:
        turns = values.get(name)
        if not isinstance(turns, list | tuple):
            raise PromptError(f"{where}: {name} is {_short(turns)}, not a list of messages")
        for number, turn in enumerate(turns, 1):
            role = turn.get("role") if isinstance(turn, Mapping) else None
            content = turn.get("content") if isinstance(turn, Mapping) else None
            if role not in ("user", "assistant") or not _is_content(content):
                raise PromptError(
                    f"{where}: message {number} of {name} is {_short(turn)}, "
                    f"not {{role: user or assistant, content: text}}"
                )
            messages.append({"role": role, "content": content})

    return part


def _is_content(content: Any) -> bool:
    """Text, or parts of text and pictures in OpenAI's form."""
    if isinstance(content, list):
        return bool(content) and all(isinstance(part, Mapping) and "type" in part for part in content)
    return isinstance(content, str)


def _substitute(name: str, spec: VariableSpec, where: str) -> Any:
    if spec.required and spec.default is None:
        raise PromptError(f"{where}: the case has no {name}, which the prompt requires")
    return spec.default


CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "text": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "list": lambda value: isinstance(value, list | tuple),
    "object": lambda value: isinstance(value, Mapping),
}
WORDS: Mapping[str, str] = {
    "text": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "list": "a list",
    "object": "an object",
}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _check_schema(prompt: PromptSpec) -> None:
    from jsonschema import SchemaError
    from jsonschema.validators import validator_for

    schema = prompt.output_schema or {}
    try:
        validator_for(schema).check_schema(schema)
    except SchemaError as problem:
        where = ".".join(str(part) for part in problem.absolute_path) or "its top"
        raise PromptError(f"{prompt.label}, output_schema: no JSON Schema at {where}: {problem.message}") from None


# The sandbox

BUDGET = "left to spend"
"""The name under which a rendering keeps [steps, characters]; no template can spell a name with spaces."""
FORBIDDEN = (
    nodes.Macro,
    nodes.CallBlock,
    nodes.Block,
    nodes.Extends,
    nodes.Include,
    nodes.Import,
    nodes.FromImport,
)
METHODS: Mapping[type, frozenset[str]] = {
    str: frozenset(
        [
            "lower",
            "upper",
            "strip",
            "lstrip",
            "rstrip",
            "title",
            "capitalize",
            "casefold",
            "split",
            "splitlines",
            "startswith",
            "endswith",
            "find",
            "count",
            "isdigit",
            "isalpha",
            "isupper",
        ]
    ),
    dict: frozenset(("get", "items", "keys", "values")),
    list: frozenset(("index", "count")),
    tuple: frozenset(("index", "count")),
}
LOOP = frozenset(
    ["index", "index0", "revindex", "revindex0", "first", "last", "length", "depth", "previtem", "nextitem"]
)
FILTERS = [
    "abs",
    "capitalize",
    "count",
    "d",
    "default",
    "dictsort",
    "first",
    "float",
    "int",
    "items",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "reverse",
    "round",
    "select",
    "selectattr",
    "sort",
    "string",
    "sum",
    "title",
    "trim",
    "truncate",
    "unique",
    "upper",
    "wordcount",
]


def as_json(value: Any) -> str:
    """A value as JSON for a model to read: not escaped for HTML, which Jinja's own `tojson` does."""
    return json.dumps(value, ensure_ascii=False, default=str)


def as_text(value: Any) -> str:
    """A value as a prompt shows it: text as it is, nothing for None, JSON for lists, objects, booleans."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool | list | tuple | dict):
        return as_json(value)
    return str(value)


def sole(inputs: Any) -> str:
    """The only value of a mapping, or the mapping as JSON when it has several."""
    if isinstance(inputs, Mapping) and len(inputs) == 1:
        return as_text(next(iter(inputs.values())))
    return as_json(inputs)


def _spend(context: Context, steps: int, characters: int) -> None:
    left = context.parent[BUDGET]
    left[0] -= steps
    left[1] -= characters
    if left[0] < 0:
        raise SecurityError(f"its loops take more than {MAX_STEPS:,} turns")
    if left[1] < 0:
        raise SecurityError(f"it writes more than {MAX_CHARACTERS:,} characters")


@pass_context
def _written(context: Context, value: Any) -> str:
    """Called with every value that a template writes."""
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()
    text = as_text(value)
    _spend(context, 0, len(text))
    return text


@pass_context
def _bounded(context: Context, items: Iterable[Any], body: int) -> Iterator[Any]:
    """A loop's items, each paid for with one step and the fixed text of the loop's body."""
    for item in items:
        _spend(context, 1, max(0, body))
        yield item


@pass_context
def _operand(context: Context, value: Any) -> Any:
    """An operand of `~`, whose result would otherwise grow unseen."""
    return _written(context, value)


@pass_context
def _joined(context: Context, items: Iterable[Any], separator: str = "", attribute: str | None = None) -> str:
    texts = []
    for item in items:
        text = as_text(item[attribute] if attribute is not None else item)
        _spend(context, 1, len(text) + len(separator))
        texts.append(text)
    return separator.join(texts)


@pass_context
def _replaced(context: Context, text: Any, old: str, new: str) -> str:
    given = as_text(text)
    _spend(context, 1, len(given) + given.count(old) * len(new))
    return given.replace(old, new)


@pass_context
def _indented(context: Context, text: Any, width: int = 4, first: bool = False) -> str:
    """Every line but the first moved in by `width` spaces; the first as well if asked for."""
    if not 0 <= width <= 100:
        raise SecurityError("`indent` takes a width from 0 to 100")
    margin = "\n" + " " * width
    return (margin[1:] if first else "") + _replaced(context, text, "\n", margin)


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, with an allow-list where it has a deny-list."""

    intercepted_binops = frozenset(("+", "*", "**", "%"))

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if attr.startswith("_"):
            return False
        if type(obj).__name__ in ("LoopContext", "AsyncLoopContext"):
            return attr in LOOP
        return any(isinstance(obj, kind) and attr in allowed for kind, allowed in METHODS.items())

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        if getattr(value, "__name__", "") in ("format", "format_map") and not isinstance(value, Undefined):
            raise SecurityError("`format` is not for prompts; write the values where they belong")
        return None

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        if not numbers and operator != "+":
            raise SecurityError(f"`{operator}` works on numbers alone in a prompt")
        if operator == "**" and (abs(left) > 1e6 or abs(right) > 16):
            raise SecurityError("`**` takes a base up to a million and an exponent up to 16")
        if operator == "*" and max(abs(left), abs(right)) > 1e100:
            raise SecurityError("`*` takes numbers up to a googol")
        if operator == "+" and not numbers:
            _spend(context, 1, len(left) + len(right))
        return super().call_binop(context, operator, left, right)


def _environment() -> _Environment:
    # Autoescape stays off on purpose: a prompt is plain text, and `&lt;` would reach the model.
    made = _Environment(
        autoescape=False,
        undefined=StrictUndefined,
        finalize=_written,
        keep_trailing_newline=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters = {name: made.filters[name] for name in FILTERS} | {
        "tojson": as_json,
        "sole": sole,
        "join": _joined,
        "replace": _replaced,
        "indent": _indented,
        "items of a loop": _bounded,
        "operand": _operand,
    }
    made.globals = {"range": _range}
    return made


def _range(*bounds: int) -> range:
    found = range(*bounds)
    if len(found) > MAX_RANGE:
        raise SecurityError(f"`range` goes up to {MAX_RANGE:,} items")
    return found


ENVIRONMENT = _environment()


def _parse(source: str, where: str) -> nodes.Template:
    try:
        return ENVIRONMENT.parse(source)
    except TemplateSyntaxError as problem:
        raise PromptError(f"{where}, line {problem.lineno} of the template: {problem.message}") from None
    except RecursionError:
        raise PromptError(f"{where}: the template is nested too deeply") from None


def _compile(source: str, where: str) -> Callable[[Mapping[str, Any]], str]:
    """A function from values to text. Raises PromptError for a template that is wrong or not allowed."""
    if len(source) > MAX_CHARACTERS // 10:
        raise PromptError(f"{where}: the template is longer than {MAX_CHARACTERS // 10:,} characters")
    tree = _parse(source, where)
    if pieces := _plain_pieces(tree):
        return _join_pieces(pieces, where)
    for node in tree.find_all(FORBIDDEN):
        raise PromptError(
            f"{where}, line {node.lineno} of the template: `{type(node).__name__.lower()}` is not for prompts"
        )
    for loop in list(tree.find_all(nodes.For)):
        if loop.recursive:
            raise PromptError(f"{where}, line {loop.lineno} of the template: a recursive loop is not for prompts")
        body = sum(len(data.data) for each in loop.body for data in each.find_all(nodes.TemplateData))
        loop.iter = _filtered(loop.iter, "items of a loop", nodes.Const(body))
    for concat in list(tree.find_all(nodes.Concat)):
        concat.nodes = [_filtered(node, "operand") for node in concat.nodes]
    try:
        code = ENVIRONMENT.compile(tree)
    except TemplateError as problem:
        raise PromptError(f"{where}: {problem.message}") from None
    except (RecursionError, SyntaxError, MemoryError):
        raise PromptError(f"{where}: the template is nested too deeply") from None
    return _run_template(Template.from_code(ENVIRONMENT, code, dict(ENVIRONMENT.globals)), where)


def _filtered(node: nodes.Node, name: str, *arguments: nodes.Expr) -> nodes.Filter:
    made = nodes.Filter(cast(nodes.Expr, node), name, list(arguments), [], None, None)
    made.set_lineno(node.lineno)
    made.set_environment(ENVIRONMENT)
    return made


def _plain_pieces(tree: nodes.Template) -> tuple[tuple[str | None, str], ...]:
    """(text, "") and (None, variable) in order, when a template is no more than that; else nothing.

    Most prompts are, and joining their pieces costs a tenth of running them as a program.
    """
    pieces: list[tuple[str | None, str]] = []
    for output in tree.body:
        if not isinstance(output, nodes.Output):
            return ()
        for node in output.nodes:
            if isinstance(node, nodes.TemplateData):
                pieces.append((node.data, ""))
            elif isinstance(node, nodes.Name) and node.name not in ("inputs", *ENVIRONMENT.globals):
                pieces.append((None, node.name))
            else:
                return ()
    return tuple(pieces) or (("", ""),)


def _join_pieces(pieces: tuple[tuple[str | None, str], ...], where: str) -> Callable[[Mapping[str, Any]], str]:
    def render(values: Mapping[str, Any]) -> str:
        try:
            text = "".join([as_text(values[name]) if fixed is None else fixed for fixed, name in pieces])
        except KeyError as missing:
            raise PromptError(_unknown_variable(where, missing.args[0], values)) from None
        if len(text) > MAX_CHARACTERS:
            raise PromptError(f"{where}: it writes more than {MAX_CHARACTERS:,} characters")
        return text

    return render


def _run_template(template: Template, where: str) -> Callable[[Mapping[str, Any]], str]:
    def render(values: Mapping[str, Any]) -> str:
        names = {"inputs": values, **values, BUDGET: [MAX_STEPS, MAX_CHARACTERS]}
        context = template.new_context(names)
        written: list[str] = []
        size = 0
        try:
            for chunk in template.root_render_func(context):
                size += len(chunk)
                if size > MAX_CHARACTERS:
                    raise SecurityError(f"it writes more than {MAX_CHARACTERS:,} characters")
                written.append(chunk)
        except UndefinedError as problem:
            raise PromptError(_undefined(where, str(problem.message), values)) from None
        except TemplateError as problem:
            raise PromptError(f"{where}: {problem.message}") from None
        except (
            TypeError,
            ValueError,
            LookupError,
            ArithmeticError,
            AttributeError,
            RecursionError,
        ) as problem:
            # The author's slip, e.g. a sum over texts; which case it hits is the caller's to say.
            raise PromptError(f"{where}: {type(problem).__name__}: {problem}") from None
        return "".join(written)

    return render


def _undefined(where: str, message: str, values: Mapping[str, Any]) -> str:
    name = message.split("'")[1] if message.endswith("is undefined") and "'" in message else None
    return _unknown_variable(where, name, values) if name else f"{where}: {message}"


def _unknown_variable(where: str, name: str, values: Mapping[str, Any]) -> str:
    return f"{where}: {unknown_name('input', name, [str(key) for key in values])}"
