"""Traces: the steps of one request as a tree, where its time went, and which chain of steps it waited for.

Spans come from many processes, so nothing about them is sure: a parent may be missing, parents may form a circle,
clocks may disagree, children overlap each other and outlast their parent, and a step may never have ended. Each of
these is placed by a rule, and the step says so (`Step.oddities`); no trace is refused.

- **Root.** Of several spans without a recorded parent, the one that names none is the root, and the others are taken as
  its children: everything in a trace descends from its root. Where several name none, all stand side by side and the
  trace lasts from the first start to the last end.
- **Clocks.** No step begins before the one that called it. One that seems to is moved, with all its descendants: to
  the middle of its parent where it fits, as if the way there took as long as the way back, else to its start.
- **Not ended.** A step without an end lasted at least as long as its descendants.

Times are whole microseconds from the start of the trace. Starts and durations are cut off, not rounded: two steps that
followed each other never overlap by it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias, get_args

Work = Literal["model", "retry", "queue", "tool", "retrieval", "own"]
"""What a step is spent on. retry: attempts that failed and were made again, and the waits between them; queue: waiting
for a turn; own: all that no other class has, such as building prompts and checking answers."""
WORKS: tuple[Work, ...] = get_args(Work)
Oddity = Literal[
    "parent missing", "parents in a circle", "id seen before", "clock moved", "outlasts parent", "not ended"
]
SpanStatus = Literal["unset", "ok", "error"]

FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
"""Seconds from asking to the first piece of the answer. Source: OpenTelemetry, registry of GenAI attributes."""
WORK_ATTRIBUTE = "assay.work"
"""One of `WORKS`: says what a span is spent on where nothing else would."""

_MODEL_CALLS = ("chat", "text_completion", "generate_content", "embeddings")
_OPERATIONS: Mapping[str, Work] = {
    **dict.fromkeys(_MODEL_CALLS, "model"),
    "execute_tool": "tool",
    "retrieval": "retrieval",
}
_MARKS: tuple[tuple[str, Work], ...] = (
    ("gen_ai.tool.name", "tool"),
    ("gen_ai.request.model", "model"),
    ("db.system.name", "retrieval"),
    ("db.system", "retrieval"),
)
"""Attributes that tell by being there."""
_WORDS: Mapping[str, Work] = {
    **dict.fromkeys(("queue", "queued", "queueing", "enqueue"), "queue"),
    **dict.fromkeys(("retry", "retries", "backoff"), "retry"),
    **dict.fromkeys(("retrieval", "retrieve", "retriever"), "retrieval"),
    "tool": "tool",
    "llm": "model",
}
"""Words in the name of a step that tell, for spans without the attributes of OpenTelemetry."""
_NAMES: Mapping[str, Work] = {"model_call": "model"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One step as it was recorded."""

    id: str
    parent_id: str | None = None
    name: str
    kind: str | None = None
    """internal, client, server, …: whose side of a call it is."""
    at: datetime
    duration_ms: float | None
    """None: it had not ended when it was exported."""
    status: SpanStatus = "unset"
    error_type: str | None = None
    error_message: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def first_token_ms(self) -> float | None:
        """From the start of the call to the first piece of its answer; None where the span does not say."""
        return first_chunk_ms(self.attributes)


def first_chunk_ms(attributes: Mapping[str, Any]) -> float | None:
    """The time to the first piece of an answer, as the attributes of a span have it."""
    said = attributes.get(FIRST_CHUNK)
    if isinstance(said, (int, float)) and not isinstance(said, bool) and said >= 0:
        return said * 1000.0
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A span at its place in the trace. Times in microseconds."""

    span: Span
    parent: int | None
    """Its place in `Trace.steps`; None for a root."""
    depth: int
    work: Work
    start_us: int
    end_us: int
    self_us: int
    """In none of its children, which may overlap and outlast it."""
    path_us: int
    """Of the critical path, spent in the step itself; all steps together give the whole."""
    on_path: bool
    """On the critical path, be it by its children alone."""
    moved_us: int
    """By how much its clock was moved."""
    oddities: tuple[Oddity, ...]

    @property
    def took_us(self) -> int:
        """From its start to its end; for a step that did not end, what it took at least."""
        return self.end_us - self.start_us


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of the critical path: the step that everything waited for. None: no step was recorded then."""

    step: int | None
    start_us: int
    end_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """All steps of a request, parents before their children, children by their start."""

    steps: tuple[Step, ...]
    path: tuple[Stretch, ...]
    """The critical path in order of time, without gaps: its length is `total_us`."""
    total_us: int
    """How long the root took."""
    end_us: int
    """When the last step ended: later than `total_us` where steps outlast the root."""

    def by_work(self) -> dict[Work, int]:
        """How long the critical path was spent on what, in microseconds; the sum is `total_us`."""
        spent = dict.fromkeys(WORKS, 0)
        for stretch in self.path:
            work = "own" if stretch.step is None else self.steps[stretch.step].work
            spent[work] += stretch.end_us - stretch.start_us
        return spent

    def longest(self, most: int = 3) -> tuple[int, ...]:
        """The places of the steps that took the most time themselves, the longest first."""
        places = [place for place, step in enumerate(self.steps) if step.self_us > 0]
        return tuple(sorted(places, key=lambda place: (-self.steps[place].self_us, place))[:most])

    def oddities(self) -> dict[Oddity, int]:
        """How many steps had to be placed by a rule, by kind."""
        seen = [oddity for step in self.steps for oddity in step.oddities]
        return {oddity: seen.count(oddity) for oddity in get_args(Oddity) if oddity in seen}


@dataclass(slots=True)
class _Node:
    """A span while its place is being found."""

    span: Span
    parent: int | None = None
    children: list[int] = field(default_factory=list)
    depth: int = 0
    start: int = 0
    end: int = 0
    moved: int = 0
    work: Work = "own"
    in_vain: bool = False
    """A failed attempt or a part of one."""
    oddities: list[Oddity] = field(default_factory=list)


def trace_of(spans: Iterable[Span]) -> Trace:
    """The trace that these spans are parts of, in whatever order they come.

    >>> from datetime import UTC
    >>> begin = datetime(2026, 5, 4, tzinfo=UTC)
    >>> ask = Span(id="a", name="answer", at=begin, duration_ms=450.0)
    >>> call = Span(id="b", parent_id="a", name="chat", at=begin + timedelta(milliseconds=5), duration_ms=420.0)
    >>> trace = trace_of([call, ask])
    >>> [(step.span.name, step.depth, step.self_us, step.path_us) for step in trace.steps]
    [('answer', 0, 30000, 30000), ('chat', 1, 420000, 420000)]
    """
    nodes = [_Node(span) for span in sorted(spans, key=lambda span: (span.at, span.parent_id is not None, span.id))]
    if not nodes:
        return Trace(steps=(), path=(), total_us=0, end_us=0)
    roots = _connect(nodes)
    order = _order(nodes, roots)
    _place(nodes, order)
    _end_open(nodes, order)
    _classify(nodes, order)
    window = (min(nodes[root].start for root in roots), max(nodes[root].end for root in roots))
    path = _critical_path(nodes, roots, window)
    return _assembled(nodes, order, path, window)


# The tree


def _connect(nodes: Sequence[_Node]) -> list[int]:
    """Give every node its parent; the places of those that have none."""
    by_id: dict[str, int] = {}
    for place, node in enumerate(nodes):
        if by_id.setdefault(node.span.id, place) != place:
            node.oddities.append("id seen before")
    for place, node in enumerate(nodes):
        named = node.span.parent_id
        if named is not None:
            node.parent = by_id.get(named)
            if node.parent is None:
                node.oddities.append("parent missing")
            elif node.parent == place:
                _cut(node)
    _cut_circles(nodes)
    without = [place for place, node in enumerate(nodes) if node.parent is None]
    true_roots = [place for place in without if nodes[place].span.parent_id is None]
    if len(true_roots) == 1:
        for place in without:
            if place != true_roots[0]:
                nodes[place].parent = true_roots[0]
        return true_roots
    return without


def _cut_circles(nodes: Sequence[_Node]) -> None:
    """Where parents lead round in a circle, its first span loses its parent."""
    done = [False] * len(nodes)
    for start in range(len(nodes)):
        way: dict[int, None] = {}
        at: int | None = start
        while at is not None and not done[at] and at not in way:
            way[at] = None
            at = nodes[at].parent
        if at is not None and at in way:
            seen = list(way)
            _cut(nodes[min(seen[seen.index(at) :])])
        for place in way:
            done[place] = True


def _cut(node: _Node) -> None:
    node.parent = None
    node.oddities.append("parents in a circle")


def _order(nodes: Sequence[_Node], roots: Sequence[int]) -> list[int]:
    """Depth first, parents before children."""
    for place, node in enumerate(nodes):
        if node.parent is not None:
            nodes[node.parent].children.append(place)
    order: list[int] = []
    waiting = list(reversed(roots))
    while waiting:
        place = waiting.pop()
        order.append(place)
        for child in nodes[place].children:
            nodes[child].depth = nodes[place].depth + 1
        waiting += reversed(nodes[place].children)
    return order


# The times


def _place(nodes: Sequence[_Node], order: Sequence[int]) -> None:
    """Starts and ends on one clock.

    Source: the rule of Zipkin and Jaeger for clock skew, used only where a step would begin before its cause.
    """
    origin = nodes[0].span.at
    for place in order:
        node = nodes[place]
        long = _long(node.span)
        node.start = (node.span.at - origin) // timedelta(microseconds=1)
        if node.parent is not None:
            parent = nodes[node.parent]
            node.moved = parent.moved
            if node.start + node.moved < parent.start:
                room = (_long(parent.span) or 0) - (long or 0)
                begins = parent.start + max(room, 0) // 2 if long is not None else parent.start
                node.moved = begins - node.start
                node.oddities.append("clock moved")
            node.start += node.moved
        node.end = node.start + (long or 0)


def _long(span: Span) -> int | None:
    # Half a nanosecond makes up for what a decimal loses as a float: 1.001 ms is 1,001 microseconds.
    return None if span.duration_ms is None else max(int(span.duration_ms * 1000 + 0.0005), 0)


def _end_open(nodes: Sequence[_Node], order: Sequence[int]) -> None:
    for place in reversed(order):
        node = nodes[place]
        if node.span.duration_ms is None:
            node.end = max([node.end, *(nodes[child].end for child in node.children)])
            node.oddities.append("not ended")
    for place in order:
        node = nodes[place]
        parent = nodes[node.parent] if node.parent is not None else None
        # A microsecond is what cutting off may leave.
        if parent is not None and parent.span.duration_ms is not None and node.end > parent.end + 1:
            node.oddities.append("outlasts parent")


def _own_us(nodes: Sequence[_Node], place: int) -> int:
    """The time of a node in which none of its children ran."""
    node = nodes[place]
    covered, upto = 0, node.start
    for start, end in sorted((nodes[child].start, min(nodes[child].end, node.end)) for child in node.children):
        if end > (begins := max(start, upto)):
            covered += end - begins
            upto = end
    return node.end - node.start - covered


# What the time was spent on


def _classify(nodes: Sequence[_Node], order: Sequence[int]) -> None:
    """A step that does not tell by itself is spent on what its parent is."""
    for place in order:
        node = nodes[place]
        parent = nodes[node.parent] if node.parent is not None else None
        node.in_vain = node.in_vain or (parent is not None and parent.in_vain)
        inherited = "own" if parent is None else parent.work
        node.work = "retry" if node.in_vain else work_of(node.span) or inherited
        _mark_failed_attempts(nodes, node)


def _mark_failed_attempts(nodes: Sequence[_Node], parent: _Node) -> None:
    """Of the model calls beside each other, those that failed and that a later one followed."""
    calls = [nodes[child] for child in parent.children if (work_of(nodes[child].span) or parent.work) == "model"]
    last_start = max((call.start for call in calls), default=0)
    for call in calls:
        call.in_vain = call.span.status == "error" and call.end <= last_start


def work_of(span: Span) -> Work | None:
    """What a span says that it is spent on, by its attributes or else by the words of its name; None: it does not say.

    >>> begin = datetime(2026, 5, 4)
    >>> [work_of(Span(id="a", name=name, at=begin, duration_ms=1)) for name in ("model_call", "wait in queue", "parse")]
    ['model', 'queue', None]
    """
    said = span.attributes.get(WORK_ATTRIBUTE)
    for work in WORKS:
        if said == work:
            return work
    operation = span.attributes.get("gen_ai.operation.name")
    if operation is not None:
        return _OPERATIONS.get(str(operation))
    for name, work in _MARKS:
        if name in span.attributes:
            return work
    told = [_WORDS[word] for word in re.split(r"[\W_]+", span.name.casefold()) if word in _WORDS]
    return _NAMES.get(span.name) or next(iter(told), None)


# The critical path


_Walked: TypeAlias = tuple[int | None, int, int]
"""Place of a node, None for what holds the roots together; from when to when the path is in it."""


@dataclass(frozen=True, slots=True)
class _Walk:
    """A step that the path is being followed through."""

    place: int | None
    start: int
    children: list[tuple[int, int, int]]
    """Those that may still come, the next one last: (end, minus start, minus place)."""


def _critical_path(nodes: Sequence[_Node], roots: Sequence[int], window: tuple[int, int]) -> list[_Walked]:
    """The chain of steps that the end of the trace waited for, backwards in time.

    From the end of a step back to the end of the child that ended last, the step itself is what was waited for; from
    there on it is that child, by the same rule; from its start back, the child that had ended last by then. A child
    that was still running when the next one began did not hold that one up, and is not on the path. What outlasts its
    parent counts up to the parent's end. Of children that end together the one that began first is taken.

    Source: Zhang et al. (2022), "CRISP: Critical Path Analysis of Large-Scale Microservice Architectures", USENIX ATC.
    """
    path: list[_Walked] = []
    at = window[1]
    walks = [_Walk(None, window[0], _by_end(nodes, roots, at))]
    while walks:
        walk = walks[-1]
        while walk.children and walk.children[-1][0] > at:
            walk.children.pop()
        if walk.children:
            end, minus_start, minus_child = walk.children.pop()
            path.append((walk.place, end, at))
            walks.append(_Walk(-minus_child, -minus_start, _by_end(nodes, nodes[-minus_child].children, end)))
            at = end
        else:
            path.append((walk.place, walk.start, at))
            at = walk.start
            walks.pop()
    return path


def _by_end(nodes: Sequence[_Node], children: Sequence[int], upto: int) -> list[tuple[int, int, int]]:
    """Those that began in time to be waited for, their ends cut off at the end of their parent."""
    return sorted(
        (min(nodes[child].end, upto), -nodes[child].start, -child)
        for child in children
        if nodes[child].start < upto or nodes[child].end == upto
    )


def _assembled(nodes: Sequence[_Node], order: Sequence[int], path: Sequence[_Walked], window: tuple[int, int]) -> Trace:
    places = {node: place for place, node in enumerate(order)}
    origin = window[0]
    spent: dict[int, int] = {}
    for walked, start, end in path:
        if walked is not None:
            spent[walked] = spent.get(walked, 0) + end - start
    steps = tuple(
        Step(
            span=nodes[place].span,
            parent=_renamed(nodes[place].parent, places),
            depth=nodes[place].depth,
            work=nodes[place].work,
            start_us=nodes[place].start - origin,
            end_us=nodes[place].end - origin,
            self_us=_own_us(nodes, place),
            path_us=spent.get(place, 0),
            on_path=place in spent,
            moved_us=nodes[place].moved,
            oddities=tuple(nodes[place].oddities),
        )
        for place in order
    )
    stretches = tuple(
        Stretch(_renamed(walked, places), start - origin, end - origin)
        for walked, start, end in reversed(path)
        if end > start
    )
    return Trace(
        steps=steps,
        path=stretches,
        total_us=window[1] - window[0],
        end_us=max(step.end_us for step in steps),
    )


def _renamed(place: int | None, places: Mapping[int, int]) -> int | None:
    return None if place is None else places[place]
