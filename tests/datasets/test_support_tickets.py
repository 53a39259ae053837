"""The sample dataset: sound by its own contract, answered completely, and judged as its README says."""

import asyncio
import json
import re
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest

from evaluations.answers import Answer
from evaluations.cases import Case
from evaluations.specs import SuiteSpec
from evaluations.verdicts import Judged, Outcome, Verdict, outcome_of, verdict_of_case
from tasks.contracts import check_contract
from tasks.datasets import BadRow, Dataset, iter_cases, open_dataset
from tasks.documents import parse_document, read_document
from tasks.panel import Panel
from tasks.prompts import load_prompt, template_of
from tasks.providers.base import Call, CallError, Reply, Workspace
from tasks.providers.replay import ReplayProvider
from tasks.targets import targets_of

FOLDER = Path(__file__).parents[2] / "datasets" / "support-tickets"
VARIANTS = ("large", "large-hot", "small")
USD_PER_MILLION = {
    "large": ("2.5", "0.25", "10"),
    "large-hot": ("2.5", "0.25", "10"),
    "small": ("0.15", "0.015", "0.6"),
}


@dataclass(frozen=True, slots=True)
class Tally:
    """What the suite makes of one variant."""

    verdicts: dict[str, Verdict] = field(default_factory=dict)
    passed: int = 0
    answered: int = 0
    blockers: set[str] = field(default_factory=set)
    cost: Decimal = Decimal(0)
    latencies: tuple[float, ...] = ()

    def having(self, verdict: Verdict) -> set[str]:
        return {case_id for case_id, had in self.verdicts.items() if had == verdict}


@cache
def the_suite() -> SuiteSpec:
    return parse_document(read_document(FOLDER / "suite.yaml", "suite"), SuiteSpec, "suite")


@cache
def the_dataset() -> Dataset:
    return open_dataset(FOLDER)


@cache
def the_cases() -> dict[str, Case]:
    rows = list(iter_cases(the_dataset()))
    assert [row for row in rows if isinstance(row, BadRow)] == []
    return {row.case.id: row.case for row in rows if not isinstance(row, BadRow)}


@cache
def replies_of(variant: str) -> dict[tuple[str, int], Reply | CallError]:
    """What the replay provider gives for every case and repeat."""

    async def ask() -> dict[tuple[str, int], Reply | CallError]:
        provider = ReplayProvider(targets_of(the_suite())[variant], Workspace(folder=FOLDER))
        replies: dict[tuple[str, int], Reply | CallError] = {}
        for case_id in the_cases():
            for repeat in range(the_suite().repeats):
                call = Call(model=variant, messages=(), case_id=case_id, variant=variant, repeat=repeat)
                try:
                    replies[case_id, repeat] = await provider.complete(call)
                except CallError as error:
                    replies[case_id, repeat] = error
        await provider.close()
        return replies

    return asyncio.run(ask())


@cache
def tally_of(variant: str) -> Tally:
    """Every answer of a variant judged by the suite's own panel."""
    panel, suite = Panel(the_suite(), FOLDER), the_suite()
    verdicts: dict[str, Verdict] = {}
    blockers: set[str] = set()
    passed, answered = 0, 0
    for case in the_cases().values():
        replies = [replies_of(variant)[case.id, repeat] for repeat in range(suite.repeats)]
        outcomes = [outcome_in(panel, case, reply) for reply in replies if isinstance(reply, Reply)]
        errors = sum(isinstance(reply, CallError) for reply in replies)
        verdicts[case.id] = verdict_of_case(
            [outcome.passed for outcome in outcomes], errors, suite.required_share
        ).verdict
        passed += sum(outcome.passed is True for outcome in outcomes)
        answered += len(outcomes)
        if any(outcome.failed_severity == "blocker" for outcome in outcomes):
            blockers.add(case.id)
    given = [reply for reply in replies_of(variant).values() if isinstance(reply, Reply)]
    return Tally(
        verdicts=verdicts,
        passed=passed,
        answered=answered,
        blockers=blockers,
        cost=sum((reply.cost_usd or Decimal(0) for reply in given), Decimal(0)),
        latencies=tuple(reply.latency_ms for reply in given if reply.latency_ms is not None),
    )


def outcome_in(panel: Panel, case: Case, reply: Reply) -> Outcome:
    answer = Answer(case_id=case.id, variant="any", text=reply.text)
    return outcome_of(
        [
            Judged(
                score=seat.turned(seat.scorer.score(case, answer)),  # type: ignore[union-attr]
                threshold=seat.threshold,
                severity=seat.severity,
                weight=seat.weight,
            )
            for seat in panel.seats_for(case)
            if seat.concerns(case)
        ]
    )


def rows_of_readme() -> Iterator[list[str]]:
    for line in (FOLDER / "README.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] in VARIANTS and len(cells) == 9:
            yield cells


def test_every_ticket_is_a_case_with_an_id_of_its_own() -> None:
    rows = [json.loads(line) for line in (FOLDER / "cases.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len({row["id"] for row in rows}) == len(rows) == len(the_cases()) == 85
    assert len({row["inputs"]["body"] for row in rows}) == len(rows)
    orders = [row["inputs"]["order_id"] for row in rows if row["inputs"]["order_id"]]
    assert len(set(orders)) == len(orders)


def test_every_ticket_says_what_it_is_about_and_in_which_language() -> None:
    for case in the_cases().values():
        assert case.inputs["language"] in case.tags, case.id
        assert case.expected["category"] in case.tags, case.id
        assert case.expected["must_mention"], f"{case.id}: the scorer of facts could not tell"
        assert 10 <= len(case.description) <= 120, case.id


def test_all_kinds_of_hard_tickets_are_there() -> None:
    tags = [tag for case in the_cases().values() for tag in case.tags]
    kinds = ("en", "de", "es", "ja", "adversarial", "pii", "ambiguous", "emergency", "angry")
    assert [kind for kind in kinds if tags.count(kind) < 4] == []


def test_the_dataset_says_that_it_is_made_up() -> None:
    assert the_dataset().sample_data
    assert the_dataset().licence == "CC0-1.0"
    assert "sample data" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_the_contract_passes() -> None:

    report = check_contract(the_dataset())
    assert report.rows == 85
    assert report.expectations_checked == len(the_dataset().spec.expectations)
    assert report.kept, report


@pytest.mark.parametrize("name", ["triage", "triage-short"])
def test_every_ticket_fits_into_the_prompt(name: str) -> None:
    template = template_of(load_prompt(FOLDER / "prompts" / f"{name}.yaml"))
    for case in the_cases().values():
        messages = template.render(case.inputs)
        assert case.inputs["body"] in messages[-1]["content"]
        assert "None" not in messages[-1]["content"]


def test_every_link_that_a_reply_needs_stands_in_the_prompt() -> None:
    system = load_prompt(FOLDER / "prompts" / "triage.yaml").system or ""
    facts = {fact for case in the_cases().values() for fact in case.expected["must_mention"]}
    links = {fact for fact in facts if "nordbrook.example" in fact}
    assert len(links) > 10
    assert {link for link in links if link not in system} == set()


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_case_is_answered_in_every_repeat(variant: str) -> None:
    replies = replies_of(variant)
    assert len(replies) == 85 * 3
    errors = {key: reply for key, reply in replies.items() if isinstance(reply, CallError)}
    assert {key[0] for key in errors} == ({"t-063"} if variant == "small" else set())
    assert {error.kind for error in errors.values()} <= {"timeout"}
    rows = (FOLDER / "answers" / f"{variant}.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(rows) == len(replies), "an answer to no case"


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_cost_of_an_answer_follows_from_its_tokens(variant: str) -> None:
    prices = [Decimal(price) for price in USD_PER_MILLION[variant]]
    for key, reply in replies_of(variant).items():
        if isinstance(reply, Reply):
            usage = reply.usage
            assert usage.total == usage.input_tokens + usage.cached_tokens + usage.output_tokens > 0
            counts = (usage.input_tokens, usage.cached_tokens, usage.output_tokens)
            cost = sum(price * count for price, count in zip(prices, counts, strict=True)) / 1_000_000
            assert reply.cost_usd == cost, key


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_readme_says_what_the_scorers_say(variant: str) -> None:
    [said] = [cells for cells in rows_of_readme() if cells[0] == variant]
    tally = tally_of(variant)
    counts = [str(len(tally.having(verdict))) for verdict in ("pass", "flaky", "fail", "error")]
    p95 = statistics.quantiles(tally.latencies, n=100, method="inclusive")[94]
    assert said == [
        variant,
        *counts,
        f"{tally.passed} of {tally.answered}",
        str(len(tally.blockers)),
        f"${tally.cost:.2f}",
        f"{p95 / 1000:.1f} s",
    ]


def test_large_fails_where_the_readme_says_and_no_blocker() -> None:
    tally = tally_of("large")
    assert tally.having("fail") == {"t-007", "t-008", "t-063"}
    assert tally.having("flaky") == {"t-067"}
    assert tally.blockers == set()


def test_large_hot_changes_its_mind_between_repeats() -> None:
    tally = tally_of("large-hot")
    assert tally.having("fail") == {"t-007"}
    flaky = "t-003 t-004 t-021 t-027 t-031 t-033 t-045 t-055 t-057 t-067 t-081"
    assert tally.having("flaky") == set(flaky.split())
    assert tally.blockers == {"t-003", "t-055", "t-081"}


def test_small_fails_more_and_leaks() -> None:
    tally = tally_of("small")
    failed = "t-007 t-008 t-015 t-019 t-022 t-023 t-030 t-033 t-057 t-064 t-067 t-076 t-078"
    assert tally.having("fail") == set(failed.split())
    assert tally.having("flaky") == {"t-026", "t-044", "t-053", "t-062", "t-069", "t-080"}
    assert tally.having("error") == {"t-063"}
    assert tally.blockers == {"t-026", "t-053", "t-069", "t-078"}


def test_only_the_model_in_use_decides() -> None:
    assert [model.name for model in the_suite().models if not model.candidate] == ["large"]
    assert the_suite().gates.confident


def test_what_customers_should_not_have_sent_looks_invented() -> None:
    """Hosts, numbers and cards come from ranges that nobody can own."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(FOLDER.rglob("*.jsonl")))
    hosts = {host.strip(".") for host in re.findall(r"(?:@|https?://)([\w.-]+)", text)}
    assert {host for host in hosts if not host.endswith(".example")} == set()
    assert set(re.findall(r"(?:\d{4} ){3}\d{4}", text)) == {"4111 1111 1111 1111", "3704 0044 0532 0130"}
    assert all("555-01" in number for number in re.findall(r"\(\d{3}\) \d{3}-\d{4}", text))


def test_the_folder_stays_small_and_holds_no_python() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 1_500_000
    assert [path.name for path in files if path.suffix == ".py"] == []
