"""The registry at work: numbers that have to fit, files of other tools, templates, suites that name a version."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from evaluations.deployments import Bundle
from evaluations.errors import AssayError
from evaluations.specs import PromptSpec
from tasks.deploying import Wish, propose
from tasks.prompt_files import as_yaml, from_template, read_prompts, templates, written
from tasks.prompt_history import behaviour_between, history_of
from tasks.prompt_registry import add, approved_version, comment, context_of, look_over, registered_version, step
from tasks.prompt_rendering import rendered
from tasks.prompts import load_prompt, template_of
from tasks.settings import settings
from tasks.store import prompts
from tasks.store.database import transaction
from tasks.store.experiments import create_experiment, find_experiment, move
from tasks.store.runs import _prompt_version_id
from tasks.suites import load_suite
from tests.cli.commands import a_suite_file, rows
from tests.deployments import approve, asked, deployed, taken
from tests.experiments import live
from tests.prompts import a_prompt

DATA = Path(os.environ.get("ASSAY_TEST_DATA", Path(__file__).parents[2] / "../shared/data"))


@pytest.fixture
def as_ben(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes whatever follows the deed of somebody else than the author."""

    def become(actor: str = "ben") -> None:
        monkeypatch.setenv("ASSAY_ACTOR", actor)
        settings.cache_clear()

    become("ana")
    yield become
    settings.cache_clear()


MORE_WORDS = {"system": "You answer customers of a shop. Use the facts alone, and never promise anything."}
TONE = {"variables": {**a_prompt().variables, "tone": "text"}, "user": "<m>{{ message }} {{ tone }} {{ facts }}</m>"}


# Numbers


@pytest.mark.parametrize(
    ("change", "version", "why"),
    [
        (MORE_WORDS, "1.0.1", r'is a patch step, and what differs asks for a minor one: .*version: "1\.1\.0"'),
        (TONE, "1.1.0", r'is a minor step, and .* a major one: variable tone is new and required\..*"2\.0\.0"'),
        (MORE_WORDS, "1.0.0", r'registered with another content, and a version never changes\..*version: "1\.1\.0"'),
        (MORE_WORDS, "0.9.0", r"would come before every registered version; the newest is 1\.0\.0"),
        ({}, "1.0.1", r"what support-reply@1\.0\.1 says to a model is what support-reply@1\.0\.0 says already"),
        ({"system": "Call with sk-abcdefgh12345678."}, "1.1.0", r"cannot be registered.\n  system: a secret stands"),
    ],
)
def test_a_number_that_does_not_fit_is_refused_with_the_reason(
    store: str, change: dict[str, Any], version: str, why: str
) -> None:
    add(a_prompt())
    with pytest.raises(AssayError, match=why) as refused:
        add(a_prompt(version=version, **change))
    assert "sk-abc" not in str(refused.value)
    assert rows(store, "SELECT semver FROM prompt_versions") == [("1.0.0",)]


def test_a_larger_step_than_asked_for_is_the_authors_to_take(store: str) -> None:
    add(a_prompt())
    assert add(a_prompt(version="2.0.0", **MORE_WORDS)).prompt.parent == "1.0.0"


def test_auto_takes_the_step_that_differs_and_what_is_there_is_left_alone(store: str) -> None:
    assert add(a_prompt(version="0.1.0"), bump="auto").prompt.semver == "0.1.0"
    assert add(a_prompt(version="0.1.0", **TONE), bump="auto").prompt.semver == "0.2.0"
    added = add(a_prompt(version="1.0.0", **MORE_WORDS))
    assert (added.new, added.prompt.parent, added.prompt.seq) == (True, "0.2.0", 3)
    again = add(a_prompt(version="1.0.0", changelog="told later", **MORE_WORDS))
    assert (again.new, again.prompt.id) == (False, added.prompt.id)
    patched = add(a_prompt(system=MORE_WORDS["system"].replace("shop. Use", "shop.\nUse")), bump="auto")
    assert patched.prompt.semver == "1.0.1"


def test_a_fix_of_an_older_line_is_compared_with_that_line(store: str) -> None:
    add(a_prompt())
    add(a_prompt(version="2.0.0", **TONE))
    slip = a_prompt(version="1.0.1", system=a_prompt().system.replace("promise", "promisse"))  # type: ignore[union-attr]
    assert add(slip).prompt.parent == "1.0.0"
    with pytest.raises(AssayError, match=r"has no registered version 3\.0\.0 to compare with"):
        add(a_prompt(version="3.1.0", **MORE_WORDS), parent="3.0.0")


def test_a_release_is_held_against_the_last_release_and_not_its_candidates(store: str) -> None:
    add(a_prompt())
    add(a_prompt(version="2.0.0-rc.1", **TONE))
    final = add(a_prompt(version="2.0.0", **TONE, system="Other words altogether."))
    assert (final.prompt.parent, final.diff.demanded if final.diff else None) == ("1.0.0", "major")


def test_what_was_tried_in_runs_under_an_old_number_gets_its_own_when_it_is_registered(store: str) -> None:
    """An author edits the file, runs it, edits again, and raises the number at the end."""
    add(a_prompt())
    tried = a_prompt(**MORE_WORDS)
    with transaction() as connection:
        tried_id = _prompt_version_id(connection, tried, "ana")
        other_id = _prompt_version_id(connection, a_prompt(version="1.1.0", system="A dead end."), "ana")
        assert prompts.find_version(connection, f"support-reply@1.0.0+{tried.content_hash[:8]}").id == tried_id
    added = add(a_prompt(version="1.1.0", **MORE_WORDS))
    assert added.prompt.id == tried_id
    with transaction() as connection:
        assert prompts.find_version(connection, "support-reply@1.1.0").id == tried_id
        kept = next(e for e in prompts.versions_of(connection, "support-reply") if e.id == other_id)
        assert kept.semver.startswith("1.1.0+")
        assert _prompt_version_id(connection, a_prompt(version="1.1.0", **MORE_WORDS), "run") == tried_id


# Reviews, and who asks whether one is approved


def test_a_bundle_may_ask_for_an_approved_version(store: str, as_ben: Any) -> None:
    add(a_prompt())
    with pytest.raises(AssayError, match=r"is draft, not approved\. Somebody else than ana has to approve it"):
        approved_version("support-reply@1.0.0")
    with pytest.raises(AssayError, match="say which version is meant"):
        step("support-reply", "in_review")
    step("support-reply@1.0.0", "in_review", why="please")
    with pytest.raises(AssayError, match="not approved by its own author"):
        step("support-reply@1.0.0", "approved")
    as_ben()
    step("support-reply@1.0.0", "approved", why="fine")
    assert approved_version("support-reply@v1.0.0").content_hash == a_prompt().content_hash
    comment("support-reply@1.0.0", "Looks good", "system, line 1")
    with pytest.raises(AssayError, match="these words hold a secret"):
        comment("support-reply@1.0.0", "try sk-abcdefgh12345678")
    trail = history_of("support-reply")
    assert [(each.after, each.actor) for each in trail.reviews] == [
        ("draft", "ana"),
        ("in_review", "ana"),
        ("approved", "ben"),
    ]
    assert [(each.text, each.place) for each in trail.comments] == [("Looks good", "system, line 1")]
    step("support-reply@1.0.0", "rejected", why="it promised a date")
    with pytest.raises(AssayError, match="is rejected, not approved"):
        approved_version("support-reply@1.0.0")


def test_what_is_in_use_is_not_archived_and_what_is_archived_is_not_named_by_suites(store: str) -> None:
    add(a_prompt())
    add(a_prompt(version="1.1.0", **MORE_WORDS))
    bundles = [{"prompt": f"support-reply@{v}", "model": "openai/gpt-4o-mini"} for v in ("1.0.0", "v1.1.0")]
    with transaction() as connection:
        variants = [
            {"name": "old", "control": True, "traffic": 50, "bundle": bundles[0]},
            {"name": "new", "traffic": 50, "bundle": bundles[1]},
        ]
        create_experiment(connection, live(variants=variants), None, "ana")
        move(connection, find_experiment(connection, "shipping-v4"), "running", actor="ana")
    assert [(each.version, each.traffic) for each in history_of("support-reply").places] == [
        ("1.0.0", 50),
        ("1.1.0", 50),
    ]
    with pytest.raises(AssayError, match="is in use: experiment shipping-v4"):
        step("support-reply@1.1.0", "archived", why="old")
    with transaction() as connection:
        move(connection, find_experiment(connection, "shipping-v4"), "completed", actor="ana")
    step("support-reply@1.1.0", "archived", why="old")
    with pytest.raises(AssayError, match="is archived; take it back"):
        registered_version("support-reply@1.1.0")


def test_a_live_bundle_and_one_on_its_way_are_places_of_use(store: str) -> None:
    add(a_prompt())
    add(a_prompt(version="1.1.0", **MORE_WORDS))
    with transaction() as connection:
        deployed(connection, Bundle(prompt="support-reply@1.0.0", model="openai/gpt-4o-mini"))
        found = asked(connection, Bundle(prompt="support-reply@1.1.0", model="openai/gpt-4o-mini"))
        approve(connection, found)
        taken(connection, found, "pending", "deploying")
    places = history_of("support-reply").places
    assert [(each.version, each.kind, each.name, each.status, each.traffic) for each in places] == [
        ("1.0.0", "deployment", "chatbot", "live", None),
        ("1.1.0", "deployment", "chatbot", "deploying", 10),
    ]
    with pytest.raises(AssayError, match="is in use: deployment chatbot"):
        step("support-reply@1.0.0", "archived", why="old")


def test_a_bundle_for_production_is_checked_for_the_approval_of_its_prompt(store: str, as_ben: Any) -> None:
    add(a_prompt())
    bundle = {"prompt": "support-reply@1.0.0", "model": "openai/gpt-4o-mini"}

    def check(environment: str) -> tuple[str, bool]:
        proposal = propose(Wish(environment=environment, feature="chatbot", bundle=bundle))
        [found] = [each for each in proposal.checks if each.name == "prompt"]
        return found.level, found.waivable

    assert check("production") == ("refuse", True)
    assert check("development") == ("warn", False)
    step("support-reply@1.0.0", "in_review")
    as_ben()
    step("support-reply@1.0.0", "approved")
    assert check("production") == check("development") == ("fine", False)
    step("support-reply@1.0.0", "rejected", why="no")
    assert check("development") == ("refuse", True)


# Suites


def test_a_suite_names_a_registered_version_as_it_names_a_file(store: str, tmp_path: Path) -> None:
    add(a_prompt())
    add(a_prompt(version="1.1.0", **MORE_WORDS))
    suite = a_suite_file(tmp_path / "s", prompts=["support-reply@1.0.0", "support-reply@v1.1.0"])
    loaded = load_suite(suite)
    assert [each.label for each in loaded.prompts] == ["support-reply@1.0.0", "support-reply@1.1.0"]
    assert loaded.prompts[1].content_hash == a_prompt(**MORE_WORDS).content_hash
    assert [each.label for each in load_suite(suite, prompts=["support-reply@1.0.0"]).prompts] == [
        "support-reply@1.0.0"
    ]
    other = a_suite_file(tmp_path / "t")
    assert load_suite(other, prompts=["support-reply@1.1.0"]).prompts[0].version == "1.1.0"
    (tmp_path / "s" / "support-reply@1.0.0").write_text("name: mine\nuser: hi\n")
    assert load_suite(suite).prompts[0].name == "mine", "a file of that name goes before"


def test_a_suite_that_names_a_version_there_is_not_is_told_so_with_its_place(store: str, tmp_path: Path) -> None:
    add(a_prompt())
    suite = a_suite_file(tmp_path / "s", prompts=["support-reply@1.0.1"])
    with pytest.raises(AssayError, match=r"suite\.yaml:\d+:\d+: no version of support-reply is named '1\.0\.1'"):
        load_suite(suite)
    with transaction() as connection:
        _prompt_version_id(connection, a_prompt(version="1.0.1", **MORE_WORDS), "run")
    with pytest.raises(AssayError, match="came with a run and is not registered"):
        load_suite(suite)


# Files

ASK = {"role": "user", "content": "{{ text }}\n"}


def test_what_is_written_as_yaml_is_read_as_the_same_prompt(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    for number, prompt in enumerate(
        [
            a_prompt(),
            a_prompt(output_schema=schema, parameters={"temperature": 0.5}, tags=["a: b", "#c"], changelog="x\ny\n"),
            a_prompt(
                few_shot=[
                    {"inputs": {"message": "hi"}, "assistant": "{{ no }} tag\n"},
                    {"user": " x ", "assistant": ""},
                ],
                system="trailing  \nspaces\t\n\n\n",
            ),
            PromptSpec(name="yes", messages=[{"history": "chat"}, {"role": "user", "content": "{{ q }}"}]),  # type: ignore[arg-type]
            *templates().values(),
        ]
    ):
        path = tmp_path / f"{number}.yaml"
        path.write_text(as_yaml(prompt))
        assert load_prompt(path) == prompt


def test_a_chat_and_a_promptfoo_configuration_go_out_and_come_back(tmp_path: Path) -> None:
    prompt = a_prompt(variables={}, few_shot=[{"user": "{{ literal }}", "assistant": "ok"}])
    for form, name in (("chat", "p.json"), ("promptfoo", "p.yaml")):
        (tmp_path / name).write_text(written(prompt, form))  # type: ignore[arg-type]
        [back] = read_prompts(tmp_path / name, name="support-reply")
        values = {"facts": "F", "message": "{{ M }}"}
        assert template_of(back).render(values) == template_of(prompt).render(values)
    with pytest.raises(AssayError, match="has an output schema, which a chat cannot say"):
        written(a_prompt(output_schema={"type": "object"}), "chat")
    with pytest.raises(AssayError, match="has 2 messages, and plain text one"):
        written(a_prompt(), "text")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", "Sum up {{ text }}", [("user", "Sum up X")]),
        ("a.md", "Sum up {{ text }}", [("user", "Sum up X")]),
        ("a.json", [{"role": "developer", "content": "Be"}, ASK], [("system", "Be"), ("user", "X\n")]),
        ("a.json", {"messages": [{"role": "user", "content": "{{ text }}"}]}, [("user", "X")]),
        ("a.yaml", "prompts:\n- 'Sum up {{text}}'\nproviders: [openai:gpt-4o]\n", [("user", "Sum up X")]),
        ("a.yaml", json.dumps({"prompts": [json.dumps([ASK])]}), [("user", "X\n")]),
        ("a.yaml", "prompts:\n- id: file://b.txt\n  label: mine\n", [("user", "From a file X")]),
        ("a.jsonl", '{"prompt_template": "{text} {{json}} {{{{"}\n', [("user", "X {json} {{")]),
    ],
)  # fmt: skip
def test_prompts_of_other_tools_say_the_same_here(
    tmp_path: Path, name: str, content: Any, said: list[tuple[str, str]]
) -> None:
    (tmp_path / "b.txt").write_text("From a file {{ text }}")
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    [prompt] = read_prompts(path)
    messages = template_of(prompt).render({"text": "X"})
    assert [(each["role"], each["content"]) for each in messages] == said


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.toml", "x", "nobody knows prompts in files of that ending"),
        ("a.jsonl", '{"question_id": 81, "turns": ["x"]}\n', "Lines of questions are cases"),
        ("a.jsonl", "{", "this line is no JSON"),
        ("a.jsonl", '{"prompt_template": "{a.b} {c!r}"}', "is no plain variable"),
        ("a.jsonl", '{"prompt_template": "open { brace"}', "for braces as such"),
        ("a.json", '[{"role": "user", "content": [{"type": "image_url"}]}]', "message 1 has no text"),
        ("a.json", '{"x": 1}', "a chat is a list of messages"),
        ("a.yaml", "prompts:\n- file://../../etc/passwd.txt\n", "outside"),
        ("a.yaml", "prompts:\n- 7\n", r"a\.yaml:2:3: a prompt is a text"),
        ("a.txt", "{% if %}", "line 1 of the template"),
    ],
)
def test_what_cannot_be_taken_over_is_refused_and_not_dropped(
    tmp_path: Path, name: str, content: str, why: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(AssayError, match=why):
        read_prompts(tmp_path / name)


@pytest.mark.skipif(not (DATA / "prompts").exists(), reason=f"no test data at {DATA / 'prompts'}")
def test_the_judge_prompts_of_mt_bench_are_taken_over_word_for_word(store: str) -> None:
    path = DATA / "prompts" / "mt_bench_judge_prompts.jsonl"
    source = [json.loads(line) for line in path.read_text().splitlines()]
    read = read_prompts(path)
    assert len(read) == len(source) == 8
    for prompt, row in zip(read, source, strict=True):
        values = {name: f"<{name} with {{braces}}>" for name in _fields(row["prompt_template"])}
        messages = template_of(prompt).render(values)
        wanted = [row["prompt_template"].format(**values)]
        if row["system_prompt"]:
            wanted.insert(0, row["system_prompt"])
        assert [each["content"] for each in messages] == wanted
        assert [each for each in look_over(prompt) if each.severity != "note"] == []
        assert add(prompt).new
    assert len(rows(store, "SELECT 1 FROM prompt_versions WHERE registered_at IS NOT NULL")) == 8
    with pytest.raises(AssayError, match="Lines of questions are cases"):
        read_prompts(DATA / "prompts" / "mt_bench_questions.jsonl")


def _fields(template: str) -> set[str]:
    import string

    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def test_every_template_is_sound_and_gives_a_file_under_a_name_of_its_own(tmp_path: Path) -> None:
    assert len(templates()) == 6
    for name, prompt in templates().items():
        assert look_over(prompt) == (), name
        path = tmp_path / f"{name}.yaml"
        path.write_text(from_template(name, "mine: 7"))
        made = load_prompt(path)
        assert (made.name, made.tags, made.content_hash) == ("mine: 7", (), prompt.content_hash)
        assert rendered(prompt).messages[-1]["role"] == "user"
    with pytest.raises(AssayError, match="did you mean 'classify'"):
        from_template("clasify", "x")


# Rendering


def test_values_come_from_a_person_before_a_file_before_a_case(tmp_path: Path) -> None:
    prompt = PromptSpec.model_validate(
        {
            "name": "p",
            "user": "{{ subject }}|{{ language }}|{{ n }}",
            "variables": {"subject": "text", "language": "text", "n": "integer"},
        }
    )
    (tmp_path / "v.json").write_text('{"language": "xx"}')
    shown = rendered(prompt, values=["n=7"], inputs=tmp_path / "v.json", dataset="support-tickets")
    subject = rendered(prompt, values=["n=7"], dataset="support-tickets").messages[0]["content"].split("|")[0]
    assert shown.messages[0]["content"] == f"{subject}|xx|7"
    assert shown.made_up == ()
    made_up = rendered(prompt)
    assert (made_up.messages[0]["content"], made_up.made_up) == ("(subject)|(language)|1", ("subject", "language", "n"))
    for values, why in (
        (["n=x"], "n is integer"),
        (["m=1"], "did you mean 'n'|no variable of this prompt"),
        (["n"], "NAME=VALUE"),
    ):
        with pytest.raises(AssayError, match=why):
            rendered(prompt, values=values)
    with pytest.raises(AssayError, match="has no case 'nobody'"):
        rendered(prompt, dataset="support-tickets", case_id="nobody")


def test_the_context_of_a_model_the_registry_does_not_know_is_read_from_the_bundled_map(store: str) -> None:
    from tasks.prices import map_file

    listed = json.loads(map_file().read_text())
    assert context_of("openai/gpt-4o-mini").tokens == listed["gpt-4o-mini"]["max_input_tokens"]
    with pytest.raises(AssayError, match="nobody says how long the context of openai/none is"):
        context_of("openai/none")


def test_without_runs_nothing_is_known_of_behaviour(store: str) -> None:
    add(a_prompt())
    after = add(a_prompt(version="1.1.0", **MORE_WORDS)).prompt
    with transaction() as connection:
        before = prompts.find_version(connection, "support-reply@1.0.0")
        assert behaviour_between(connection, before, after, []) == ()
