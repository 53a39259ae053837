"""Traces: whatever spans come, a tree; self time and critical path held against brute force and simulated programs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from evaluations.traces import WORKS, Span, Trace, Work, trace_of

BEGIN = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)


def a_span(id: str, start: float, end: float | None, parent: str | None = None, **given: Any) -> Span:
    """A span from `start` to `end`, in milliseconds."""
    return Span(
        **{
            "id": id,
            "parent_id": parent,
            "name": id,
            "at": BEGIN + timedelta(milliseconds=start),
            "duration_ms": None if end is None else end - start,
            **given,
        }
    )


def chain(trace: Trace) -> list[tuple[str | None, int, int]]:
    """The critical path in milliseconds."""
    return [
        (None if piece.step is None else trace.steps[piece.step].span.id, piece.start_us // 1000, piece.end_us // 1000)
        for piece in trace.path
    ]


def placed(trace: Trace) -> dict[str, tuple[int, int, int]]:
    """Depth, start and end of each step, in milliseconds."""
    return {step.span.id: (step.depth, step.start_us // 1000, step.end_us // 1000) for step in trace.steps}


def the_example() -> list[Span]:
    """5 + 420 + 15 + 10 = 450 ms."""
    lengths = {"prompt_construction": 5, "model_call": 420, "validation": 15, "post_processing": 10}
    spans, at = [a_span("request", 0, 450)], 0
    for name, long in lengths.items():
        spans.append(a_span(name, at, at + long, "request"))
        at += long
    return spans


def test_the_steps_of_the_example_fill_its_root() -> None:
    trace = trace_of(the_example())
    assert trace.total_us == 450_000
    assert [step.self_us // 1000 for step in trace.steps] == [0, 5, 420, 15, 10]
    assert [step.path_us // 1000 for step in trace.steps] == [0, 5, 420, 15, 10]
    assert {work: spent // 1000 for work, spent in trace.by_work().items() if spent} == {"model": 420, "own": 30}
    assert [trace.steps[place].span.name for place in trace.longest()] == [
        "model_call",
        "validation",
        "post_processing",
    ]
    assert trace.oddities() == {}


def test_no_spans_make_an_empty_trace() -> None:
    trace = trace_of([])
    assert (trace.steps, trace.path, trace.total_us) == ((), (), 0)


def test_of_parallel_children_the_one_that_ended_last_is_waited_for() -> None:
    trace = trace_of(
        [
            a_span("root", 0, 100),
            a_span("fast", 10, 40, "root"),
            a_span("slow", 10, 70, "root"),
            a_span("then", 70, 90, "root"),
        ]
    )
    assert chain(trace) == [("root", 0, 10), ("slow", 10, 70), ("then", 70, 90), ("root", 90, 100)]
    assert not next(step for step in trace.steps if step.span.id == "fast").on_path


def test_what_still_ran_when_the_next_one_began_did_not_hold_it_up() -> None:
    trace = trace_of([a_span("root", 0, 100), a_span("early", 0, 60, "root"), a_span("late", 50, 100, "root")])
    assert chain(trace) == [("root", 0, 50), ("late", 50, 100)]
    assert trace.steps[0].self_us == 0


def test_overlapping_children_are_counted_once_in_the_time_of_their_parent() -> None:
    trace = trace_of(
        [a_span("root", 0, 100), a_span("a", 10, 50, "root"), a_span("b", 30, 60, "root"), a_span("c", 80, 130, "root")]
    )
    assert trace.steps[0].self_us == (10 + 20) * 1000


def test_a_missing_parent_hangs_its_children_under_the_root() -> None:
    trace = trace_of([a_span("root", 0, 100), a_span("lost child", 20, 60, "never recorded")])
    assert placed(trace)["lost child"] == (1, 20, 60)
    assert trace.oddities() == {"parent missing": 1}
    assert chain(trace) == [("root", 0, 20), ("lost child", 20, 60), ("root", 60, 100)]


def test_a_root_whose_caller_was_not_recorded_is_the_root() -> None:
    trace = trace_of([a_span("entry", 0, 100, "gateway"), a_span("step", 20, 60, "entry")])
    assert placed(trace) == {"entry": (0, 0, 100), "step": (1, 20, 60)}


def test_several_roots_stand_side_by_side_and_what_lies_between_them_is_nobodys() -> None:
    trace = trace_of([a_span("a", 0, 30), a_span("b", 50, 80)])
    assert chain(trace) == [("a", 0, 30), (None, 30, 50), ("b", 50, 80)]
    assert trace.by_work()["own"] == 80_000


def test_parents_in_a_circle_are_cut_at_the_first_of_them() -> None:
    trace = trace_of(
        [
            a_span("root", 0, 100),
            a_span("a", 10, 40, "c"),
            a_span("b", 15, 35, "a"),
            a_span("c", 20, 30, "b"),
            a_span("self", 50, 60, "self"),
        ]
    )
    assert {id: depth for id, (depth, _, _) in placed(trace).items()} == {"root": 0, "a": 1, "b": 2, "c": 3, "self": 1}
    assert trace.oddities() == {"parents in a circle": 2}


def test_a_child_that_seems_to_begin_before_its_parent_is_moved_with_all_below_it() -> None:
    trace = trace_of(
        [
            a_span("root", 0, 100),
            a_span("remote", -500, -440, "root"),
            a_span("inner", -490, -450, "remote"),
            a_span("too long", -10, 300, "root"),
        ]
    )
    assert placed(trace) == {"root": (0, 0, 100), "remote": (1, 20, 80), "inner": (2, 30, 70), "too long": (1, 0, 310)}
    assert {step.span.id: step.moved_us // 1000 for step in trace.steps} == {
        "root": 0,
        "remote": 520,
        "inner": 520,
        "too long": 10,
    }
    assert trace.oddities() == {"clock moved": 2, "outlasts parent": 1}


def test_what_outlasts_the_root_is_drawn_on_but_not_waited_for() -> None:
    trace = trace_of([a_span("root", 0, 100), a_span("log", 90, 500, "root")])
    assert (trace.total_us, trace.end_us) == (100_000, 500_000)
    assert chain(trace) == [("root", 0, 90), ("log", 90, 100)]


def test_a_step_that_did_not_end_lasts_as_long_as_what_is_known_below_it() -> None:
    trace = trace_of([a_span("root", 0, None), a_span("call", 10, 70, "root"), a_span("open", 70, None, "root")])
    assert placed(trace) == {"root": (0, 0, 70), "call": (1, 10, 70), "open": (1, 70, 70)}
    assert trace.oddities() == {"not ended": 2}
    assert trace.total_us == 70_000


def test_an_id_that_comes_twice_is_shown_twice() -> None:
    trace = trace_of(
        [a_span("root", 0, 100), a_span("a", 10, 20, "root"), a_span("a", 30, 40, "root"), a_span("b", 12, 15, "a")]
    )
    assert len(trace.steps) == 4
    assert trace.oddities() == {"id seen before": 1}
    child = next(step for step in trace.steps if step.span.id == "b")
    assert child.parent is not None
    assert trace.steps[child.parent].start_us == 10_000


def test_steps_that_followed_each_other_do_not_overlap_by_the_rounding_of_their_times() -> None:
    # Nanoseconds 0 to 1,000,900 and 1,000,900 to 3,000,000: starts are kept in microseconds.
    first = Span(id="a", parent_id="r", name="a", at=BEGIN, duration_ms=1.0009)
    second = Span(id="b", parent_id="r", name="b", at=BEGIN + timedelta(microseconds=1000), duration_ms=1.9991)
    trace = trace_of([Span(id="r", name="r", at=BEGIN, duration_ms=3.0), first, second])
    assert all(step.on_path for step in trace.steps)


@pytest.mark.parametrize(
    ("name", "attributes", "work"),
    [
        ("chat gpt-4o", {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}, "model"),
        ("invoke_agent", {"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "gpt-4o"}, "own"),
        ("execute_tool search", {"gen_ai.operation.name": "execute_tool"}, "tool"),
        ("SELECT", {"db.system.name": "postgresql"}, "retrieval"),
        ("wait for a slot", {"assay.work": "queue"}, "queue"),
        ("wait for a slot", {"assay.work": "nonsense"}, "own"),
        ("model_call", {}, "model"),
        ("load model config", {}, "own"),
        ("retry.backoff", {}, "retry"),
        ("queue_wait", {}, "queue"),
        ("", {}, "own"),
    ],
)
def test_a_step_tells_what_it_is_spent_on(name: str, attributes: dict[str, Any], work: Work) -> None:
    assert trace_of([a_span("a", 0, 1, name=name, attributes=attributes)]).steps[0].work == work


def test_attempts_that_failed_and_were_made_again_are_retries_and_the_last_one_is_the_model() -> None:
    call = {"gen_ai.operation.name": "chat"}
    trace = trace_of(
        [
            a_span("root", 0, 1000),
            a_span("queue", 0, 100, "root"),
            a_span("first", 100, 300, "root", status="error", attributes=call),
            a_span("http", 110, 290, "first"),
            a_span("backoff", 300, 400, "root"),
            a_span("second", 400, 900, "root", attributes={**call, "gen_ai.response.time_to_first_chunk": 0.2}),
            a_span("decode", 800, 900, "second"),
        ]
    )
    assert {step.span.id: step.work for step in trace.steps} == {
        "root": "own",
        "queue": "queue",
        "first": "retry",
        "http": "retry",
        "backoff": "retry",
        "second": "model",
        "decode": "model",
    }
    spent = {"model": 500, "retry": 300, "queue": 100, "tool": 0, "retrieval": 0, "own": 100}
    assert {work: us // 1000 for work, us in trace.by_work().items()} == spent
    assert trace.steps[5].span.first_token_ms == 200.0


def test_a_last_attempt_that_failed_was_no_retry() -> None:
    failed = a_span("only", 10, 90, "root", status="error", name="model_call")
    assert trace_of([a_span("root", 0, 100), failed]).steps[1].work == "model"


@pytest.mark.parametrize("said", ["0.2", True, -1, None])
def test_a_first_token_that_is_no_time_is_not_known(said: object) -> None:
    assert a_span("a", 0, 1, attributes={"gen_ai.response.time_to_first_chunk": said}).first_token_ms is None


# Against brute force: any spans at all


def any_spans(random: np.random.Generator, most: int = 12) -> list[Span]:
    """Spans of microseconds, as bad as they come: lost and circular parents, wild clocks, no length, no end."""
    count = int(random.integers(1, most))
    spans = []
    for number in range(count):
        start = int(random.integers(0, 40))
        parent = None if random.random() < 0.15 else f"s{random.integers(0, count + 1)}"
        end = None if random.random() < 0.1 else (start + int(random.integers(0, 30))) / 1000
        spans.append(a_span(f"s{number if random.random() < 0.95 else 0}", start / 1000, end, parent))
    return spans


def brute_force(trace: Trace) -> list[int | None]:
    """The step that each microsecond was waiting for, found by walking back through time one unit after the other."""
    steps = trace.steps
    below: dict[int | None, list[int]] = {None: []}
    for place, step in enumerate(steps):
        below.setdefault(step.parent, []).append(place)
    limit: dict[int | None, int] = {None: trace.total_us}
    inside: list[int | None] = [None]
    done: set[int] = set()
    waited: list[int | None] = []
    at = trace.total_us
    while at >= 0:
        entered = True
        while entered:
            entered = False
            here = inside[-1]
            ending = [
                place
                for place in below.get(here, ())
                if place not in done
                and min(steps[place].end_us, limit[here]) == at
                and (steps[place].start_us < limit[here] or steps[place].end_us <= limit[here])
            ]
            if ending:
                chosen = min(ending, key=lambda place: (steps[place].start_us, place))
                done.add(chosen)
                inside.append(chosen)
                limit[chosen] = at
                entered = True
            elif here is not None and steps[here].start_us == at:
                inside.pop()
                entered = True
        if at > 0:
            waited.append(inside[-1])
        at -= 1
    return waited[::-1]


def test_the_critical_path_is_the_one_that_walking_back_unit_by_unit_finds() -> None:
    random = np.random.default_rng(7)
    for _ in range(600):
        trace = trace_of(any_spans(random))
        by_unit = [piece.step for piece in trace.path for _ in range(piece.end_us - piece.start_us)]
        assert by_unit == brute_force(trace)


def test_whatever_spans_come_the_trace_holds_together() -> None:
    random = np.random.default_rng(8)
    for _ in range(600):
        spans = any_spans(random, most=30)
        trace = trace_of(spans)
        assert sorted(id(step.span) for step in trace.steps) == sorted(map(id, spans)), "every span is there once"
        assert (
            sum(step.path_us for step in trace.steps)
            + sum(piece.end_us - piece.start_us for piece in trace.path if piece.step is None)
            == trace.total_us
        )
        assert sum(trace.by_work().values()) == trace.total_us
        assert all(before.end_us == after.start_us for before, after in pairwise(trace.path))
        for place, step in enumerate(trace.steps):
            assert 0 <= step.start_us <= step.end_us <= trace.end_us
            assert 0 <= step.self_us <= step.took_us
            assert step.path_us <= step.took_us
            if step.parent is not None:
                assert step.parent < place
                assert trace.steps[step.parent].start_us <= step.start_us
                assert trace.steps[step.parent].depth == step.depth - 1
            # Self time once more, unit by unit.
            children = [each for each in trace.steps if each.parent == place]
            alone = [
                at
                for at in range(step.start_us, step.end_us)
                if not any(each.start_us <= at < each.end_us for each in children)
            ]
            assert step.self_us == len(alone)


def test_the_order_in_which_spans_come_does_not_matter() -> None:
    random = np.random.default_rng(9)
    for _ in range(50):
        spans = [replace(span, id=f"s{number}") for number, span in enumerate(any_spans(random))]
        mixed = [spans[int(place)] for place in random.permutation(len(spans))]
        assert trace_of(mixed) == trace_of(spans)


# Against programs whose end is known: what is on the path decides it, and nothing else does


@dataclass(frozen=True)
class Program:
    """Work of a length, or parts that run one after the other or side by side."""

    kind: str
    length: int = 0
    parts: tuple["Program", ...] = ()
    name: str = ""


def a_program(random: np.random.Generator, depth: int, names: list[str]) -> Program:
    if depth == 0 or random.random() < 0.3:
        names.append(f"w{len(names)}")
        return Program("work", 10 * int(random.integers(1, 10_000)) + len(names), name=names[-1])
    parts = tuple(a_program(random, depth - 1, names) for _ in range(int(random.integers(2, 4))))
    names.append(f"p{len(names)}")
    return Program("row" if random.random() < 0.5 else "beside", parts=parts, name=names[-1])


def run(program: Program, start: int, parent: str | None, longer: dict[str, int], spans: list[Span]) -> int:
    """When it ends; its spans are recorded on the way. Times in milliseconds."""
    if program.kind == "work":
        end = start + program.length + longer.get(program.name, 0)
    elif program.kind == "row":
        end = start
        for part in program.parts:
            end = run(part, end, program.name, longer, spans)
    else:
        end = max(run(part, start, program.name, longer, spans) for part in program.parts)
    spans.append(a_span(program.name, start, end, parent))
    return end


def works(program: Program) -> Sequence[str]:
    return [program.name] if program.kind == "work" else [name for part in program.parts for name in works(part)]


def test_a_program_ends_later_by_what_its_critical_path_takes_longer_and_by_nothing_else() -> None:
    random = np.random.default_rng(10)
    for _ in range(60):
        program = a_program(random, 4, [])
        spans: list[Span] = []
        end = run(program, 0, None, {}, spans)
        trace = trace_of(spans)
        steps = {step.span.id: step for step in trace.steps}
        assert sum(steps[name].took_us for name in works(program) if steps[name].on_path) == end * 1000
        for name in works(program):
            later = run(program, 0, None, {name: 1}, [])
            # Lengths differ in their last digits, so that no two ways are equally long.
            assert later - end == int(steps[name].on_path), name


def test_a_chain_of_thousands_of_steps_is_no_recursion() -> None:
    spans = [a_span(f"s{n}", n, 10_000 - n, f"s{n - 1}" if n else None) for n in range(3000)]
    trace = trace_of(spans)
    assert trace.steps[-1].depth == 2999
    assert trace.total_us == 10_000_000
    assert set(trace.by_work()) == set(WORKS)
