"""Prompts: what a template may say, what it costs at most, and that values stay data."""

from pathlib import Path
from typing import Any

import pytest

from evaluations.errors import AssayError
from evaluations.specs import PLAIN_PROMPT, PromptSpec
from tasks.prompts import MAX_CHARACTERS, PromptError, PromptTemplate, load_prompt, render_hash, template_of


def a_template(user: str = "{{ q }}", **given: Any) -> PromptTemplate:
    return template_of(PromptSpec.model_validate({"name": "p", "version": "1.0.0", "user": user, **given}))


def said(user: str, **inputs: Any) -> str:
    return str(a_template(user).render(inputs)[-1]["content"])


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("Hello {{ a }}!", "Hello x <&> é!"),
        ("{{ n }} {{ f }} {{ yes }} {{ nothing }}.", "1 0.5 true ."),
        ("{{ items }} {{ thing }}", '[1, "é"] {"k": "v"}'),
        ("{{ thing.k }} {{ thing['k'] }} {{ thing | tojson }}", 'v v {"k": "v"}'),
        ("{% for i in items %}{{ loop.index }}:{{ i }}{% if not loop.last %}, {% endif %}{% endfor %}", "1:1, 2:é"),
        ("{{ a | upper }} {{ items | join('-') }} {{ a | replace('x', 'y') }}", "X <&> É 1-é y <&> é"),
        ("{{ missing | default('none') }} {{ a ~ n }}", "none x <&> é1"),
        ("{{ 'a\nb' | indent(2) }}", "a\n  b"),
        ("{{ inputs.a }} {{ a.split(' ') | length }}", "x <&> é 3"),
        ("{# note #}{% raw %}{{ a }}{% endraw %}", "{{ a }}"),
        ("{% for i in range(3) %}{{ i * 2 }}{% endfor %}", "024"),
        ("", ""),
    ],
)
def test_templates_write_plain_text_and_json(template: str, text: str) -> None:
    inputs = {"a": "x <&> é", "n": 1, "f": 0.5, "yes": True, "nothing": None, "items": [1, "é"], "thing": {"k": "v"}}
    assert said(template, **inputs) == text


@pytest.mark.parametrize("hostile", ["{{ 7 * 7 }}", "{% for i in range(9) %}", "{{ q.__class__ }}", "</s>\x1b[0m"])
@pytest.mark.parametrize(
    "template", ["{{ q }}", "{{ q | trim }}", "{{ inputs | sole }}", "{% if q %}{{ q }}{% endif %}"]
)
def test_values_are_never_read_as_templates(hostile: str, template: str) -> None:
    assert said(template, q=hostile) == hostile


@pytest.mark.parametrize(
    "template",
    [
        "{{ q.__class__ }}",
        "{{ (1).__class__.__mro__ }}",
        "{{ q | attr('__class__') }}",
        "{{ q.format(1) }}",
        "{{ '{0.__class__}'.format(q) }}",
        "{{ '%s' % q }}",
        "{{ q.join }}",
        "{{ loop }}",
        "{{ self }}",
        "{{ lipsum() }}",
        "{{ cycler }}",
        "{{ namespace() }}",
        "{{ range.__globals__ }}",
        "{% macro m() %}{% endmacro %}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% block b %}{{ self.b() }}{% endblock %}",
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% for x in [1] %}{{ loop.cycle('a') }}{% endfor %}",
        "{% if %}",
        "{{ q | no_such_filter }}",
        "{{ 1 / 0 }}",
        "{{ [1] + q }}",
        "{{ " + "(" * 300 + "1" + ")" * 300 + " }}",
    ],
)
def test_what_the_sandbox_refuses_ends_in_a_prompt_error(template: str) -> None:
    with pytest.raises(PromptError, match=r"^p@1\.0\.0"):
        said(template, q="x")


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' * 1000000000 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '{:>1000000000}'.format(1) }}",
        "{{ q | indent(1000000000) }}",
        "{{ q | replace('y', q) }}",
        "{{ q | join(q) }}",
        "{% for i in range(10000000) %}{% endfor %}",
        "{% for i in range(1000) %}{% for j in range(1000) %}{% endfor %}{% endfor %}",
        "{% for i in q %}{% for j in q %}{% endfor %}{% endfor %}",
        "{% for i in range(100) %}{{ q }}{% endfor %}",
        "{% set x = q ~ q %}" + "{% set x = x ~ x %}" * 40 + "{{ x }}",
        "{% set x = q + q %}" + "{% set x = x + x %}" * 40 + "{{ x }}",
        "{% set x %}{{ q }}{{ q }}{% endset %}" + "{% set x %}{{ x }}{{ x }}{% endset %}" * 40,
        "{% set x = 10 ** 16 %}" + "{% set x = x * x %}" * 40 + "{{ x }}",
        "{% for i in q %}" + "y" * 10_000 + "{% endfor %}",
    ],
)
def test_no_template_fills_the_memory(template: str) -> None:
    with pytest.raises(PromptError):
        said(template, q="y" * 500_000)


def test_no_message_is_longer_than_the_limit_even_in_the_plain_form() -> None:
    with pytest.raises(PromptError, match="writes more than"):
        said("{{ q }}{{ q }}", q="x" * (MAX_CHARACTERS // 2 + 1))


def test_an_input_cannot_raise_the_budget_of_a_rendering() -> None:
    with pytest.raises(PromptError, match="turns"):
        a_template("{% for i in range(999) %}{% for j in range(999) %}{% endfor %}{% endfor %}").render(
            {"left to spend": [10**9, 10**9]}
        )


def test_a_name_that_no_case_has_is_answered_with_the_nearest() -> None:
    for template in ("{{ qestion }}", "{{ qestion | upper }}"):
        with pytest.raises(PromptError, match="no input is named 'qestion'; did you mean 'question'"):
            said(template, question="x")


def test_a_variable_that_is_not_declared_is_an_error_before_any_case() -> None:
    with pytest.raises(PromptError, match="no variable is named 'qq'; did you mean 'q'"):
        a_template("{{ qq }}", variables={"q": "text"})


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("text", "x", 1),
        ("number", 0.5, "0.5"),
        ("number", 1, True),
        ("integer", 3, 3.5),
        ("integer", 3, True),
        ("boolean", False, 0),
        ("list", [1], "1"),
        ("object", {"a": 1}, [1]),
    ],
)
def test_variables_are_checked_against_their_types(kind: str, good: Any, bad: Any) -> None:
    template = a_template("{{ q }}", variables={"q": kind})
    assert template.render({"q": good})[0]["role"] == "user"
    with pytest.raises(PromptError, match="q is "):
        template.render({"q": bad})


def test_a_missing_variable_is_an_error_unless_it_has_a_default_or_is_optional() -> None:
    kinds = {"q": "text", "a": {"type": "text", "default": "A"}, "b": {"type": "text", "required": False}}
    template = a_template("{{ q }}{{ a }}{{ b }}.", variables=kinds)
    assert template.render({"q": "x"})[0]["content"] == "xA."
    with pytest.raises(PromptError, match="the case has no q"):
        template.render({"a": "x"})


def test_messages_come_as_system_examples_turns() -> None:
    template = a_template(
        "Q: {{ q }}",
        system="Be {{ tone }}.",
        variables={"q": "text", "tone": {"type": "text", "default": "kind"}},
        few_shot=[{"inputs": {"q": "1+1"}, "assistant": "{2}"}, {"user": "{{ raw }}", "assistant": "ok"}],
    )
    assert template.render({"q": "2+2"}) == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Q: 1+1"},
        {"role": "assistant", "content": "{2}"},
        {"role": "user", "content": "{{ raw }}"},
        {"role": "assistant", "content": "ok"},
        {"role": "user", "content": "Q: 2+2"},
    ]


def test_a_cases_own_conversation_is_put_in_as_it_is() -> None:
    turns = [{"role": "user", "content": "{{ hi }}"}, {"role": "assistant", "content": "yes?"}]
    template = a_template(None, messages=[{"history": "chat"}, {"role": "user", "content": "{{ q }}"}])  # type: ignore[arg-type]
    assert template.render({"chat": turns, "q": "so?"}) == [*turns, {"role": "user", "content": "so?"}]
    for bad in ("text", [{"role": "system", "content": "obey"}], [{"role": "user"}], ["x"], None):
        with pytest.raises(PromptError, match="chat"):
            template.render({"chat": bad, "q": "x"})


def test_the_plain_prompt_sends_a_single_input_as_text_and_several_as_json() -> None:
    template = template_of(PLAIN_PROMPT)
    assert template.render({"q": "x {{ y }}"})[0]["content"] == "x {{ y }}"
    assert template.render({"q": "x", "n": 1})[0]["content"] == '{"q": "x", "n": 1}'


def test_the_hash_of_messages_follows_their_content() -> None:
    template = a_template("{{ q }}")
    assert render_hash(template.render({"q": "a"})) == render_hash(template.render({"q": "a"}))
    assert render_hash(template.render({"q": "a"})) != render_hash(template.render({"q": "b"}))


def test_a_prompt_is_compiled_once() -> None:
    assert a_template("once {{ q }}") is a_template("once {{ q }}")


def test_a_schema_that_is_none_is_refused() -> None:
    with pytest.raises(PromptError, match="no JSON Schema at"):
        a_template(output_schema={"type": "objekt"})


def test_a_prompt_file_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text('name: p\nversion: "1.0.0"\nusr: hi\n')
    with pytest.raises(AssayError, match=r"p.yaml:3:1: unknown key 'usr'; did you mean 'user'"):
        load_prompt(path)
    path.write_text("name: p\nversion: 1.0\nuser: hi\n")
    with pytest.raises(AssayError, match=r"p.yaml:2:1: `version` has to be text"):
        load_prompt(path)
    path.write_text('name: p\nuser: "{% if %}"\n')
    with pytest.raises(AssayError, match=r"p.yaml:1:1: p@0.1.0, user, line 1 of the template"):
        load_prompt(path)
