"""The sentences of a request's page: what it was and where its time went, claiming no more than was recorded."""

from decimal import Decimal

from evaluations.inspection import Inspection, Request
from evaluations.traces import WORKS, Trace, Work
from reports.format import count, duration, moment, money, one_line, share
from reports.views.parts import Fact, Kpi, Status, Tone, Verdict
from reports.views.request_cost import class_name, cost_note

PLACES: dict[Work, str] = {
    "model": "in the model",
    "retry": "in failed attempts and waits for another",
    "queue": "in the queue",
    "tool": "in tools",
    "retrieval": "in retrieval",
    "own": "in the feature's own work",
}
_NAMES: dict[Work, str] = {
    "model": "model",
    "retry": "failed attempts",
    "queue": "queue",
    "tool": "tools",
    "retrieval": "retrieval",
    "own": "own work",
}
NAMED_STEPS = 5
NAMED_KINDS = 3
METHOD = (
    "The critical path is the chain of steps that the end of the request waited for: from the end of a step back "
    "to the end of its child that ended last, the step itself; then that child by the same rule; then the child "
    "that had ended last when that one began. A child that still ran when the next one began held nothing up "
    "(Zhang et al. 2022, CRISP, USENIX ATC). Its pieces add up to the whole time.",
    "Where the time went is told along that path: parallel steps that nothing waited for are in no share. A step "
    "counts as model, tool, retrieval or queue by its OpenTelemetry attributes (gen_ai.operation.name and its "
    "kin), by assay.work, or by words of its name; otherwise as what its parent is. A failed model call that "
    "another one followed is a failed attempt. What no step tells apart is own work.",
    "Itself is the time of a step in which none of its children ran. Took is from a step's start to its end.",
    "A step whose parent is missing hangs under the root, a circle of parents is cut at its first step, a step "
    "that seems to begin before its parent is moved into it with all below it, a step without an end lasts as "
    "long as what is known below it, and one that outlasts its parent is waited for up to the parent's end.",
    "Texts of prompts and answers are not kept with steps.",
)


def outcome(status: str | None) -> Status:
    known = {"success": Status("Succeeded", "good", "check"), "error": Status("Failed", "bad", "cross")}
    return known.get(status or "", Status("Outcome not said", "plain", "dash"))


def cost(usd: Decimal | None) -> str:
    return money(usd)


def took_ms(inspection: Inspection) -> float | None:
    """The whole time: of the trace where there is one, else as the log said; None when nobody measured it."""
    if inspection.trace.steps:
        return inspection.trace.total_us / 1000
    return inspection.request.latency_ms


def verdict(inspection: Inspection) -> Verdict:
    request, took = inspection.request, took_ms(inspection)
    failed = request.status == "error"
    tone: Tone = "bad" if failed else "plain"
    why = f" ({one_line(request.error_type, 60)})" if failed and request.error_type else ""
    if took is None:
        return Verdict(tone, f"Failed{why}" if failed else "Answered", "; how long it took was not measured")
    head = (
        f"Failed after {_at_least(inspection)}{duration(took)}{why}"
        if failed
        else f"{_at_least(inspection)}{duration(took)}"
    )
    where = _where(inspection)
    return Verdict(tone, head, f", {where}" if where else "; what it was spent on was not recorded")


def _at_least(inspection: Inspection) -> str:
    steps = inspection.trace.steps
    return "at least " if steps and "not ended" in steps[0].oddities else ""


def _where(inspection: Inspection) -> str:
    """The share of what took most, in words."""
    request, trace = inspection.request, inspection.trace
    if trace.total_us:
        spent = trace.by_work()
        most = max(WORKS, key=lambda work: spent[work])
        return f"{share(spent[most] / trace.total_us)} of it {PLACES[most]}"
    if not trace.steps and request.latency_ms and request.processing_ms is not None:
        return f"{share(min(request.processing_ms / request.latency_ms, 1.0))} of it {PLACES['model']}"
    return ""


def facts(inspection: Inspection) -> tuple[Fact, ...]:
    request = inspection.request
    return (
        Fact(label="Where the time went", status=None, sentences=_time_sentences(inspection),
             link=("All steps", "steps") if inspection.trace.steps else None),
        Fact(label="Cost", status=None if request.cost is not None else Status("Unpriced", "warn", "bang"),
             sentences=_cost_sentences(inspection), link=("Cost by class", "cost")),
        Fact(label="How it ended", status=outcome(request.status), sentences=_ended_sentences(request)),
        Fact(label="What answered", status=None, sentences=_answered_sentences(request)),
    )  # fmt: skip


def _time_sentences(inspection: Inspection) -> tuple[str, ...]:
    request, trace = inspection.request, inspection.trace
    if trace.total_us:
        return (f"{_parts(trace)}.", *_longest(trace), *_own_share(inspection))
    if trace.steps:
        return ("Its steps took no measurable time.",)
    if request.latency_ms is not None and request.processing_ms is not None:
        rest = max(request.latency_ms - request.processing_ms, 0.0)
        return (
            f"Model {duration(request.processing_ms)}; queue, retries and own work together {duration(rest)}.",
            "Steps were not recorded.",
        )
    if request.latency_ms is not None:
        return ("Only the whole time was recorded: queue, retries and the model are not told apart.",)
    return ("Neither its time nor its steps were recorded.",)


def _parts(trace: Trace) -> str:
    """The kinds of work on the critical path that took most, and what is left."""
    spent = sorted(((us, work) for work, us in trace.by_work().items() if us), key=lambda each: -each[0])
    named = spent if len(spent) <= NAMED_KINDS + 1 else spent[:NAMED_KINDS]
    told = [f"{_NAMES[work]} {duration(us / 1000)} ({share(us / trace.total_us)})" for us, work in named]
    if len(named) < len(spent):
        told.append(f"the rest {duration(sum(us for us, _ in spent[NAMED_KINDS:]) / 1000)}")
    said = ", ".join(told)
    return said[:1].upper() + said[1:]


def _longest(trace: Trace) -> tuple[str, ...]:
    longest = trace.longest(1)
    if not longest:
        return ()
    step = trace.steps[longest[0]]
    kept = "was waited for" if step.on_path else "held nothing up"
    return (
        f"The longest step, {one_line(step.span.name, 60)}, took {duration(step.self_us / 1000)} itself and {kept}.",
    )


def _own_share(inspection: Inspection) -> tuple[str, ...]:
    """How the request stands in a trace that is more than itself."""
    step = inspection.own_step
    if step is None or step.parent is None:
        return ()
    calls = len(inspection.neighbours) + 1
    which = f"one of {count(calls, 'model call')} of its trace" if calls > 1 else "the model call of its trace"
    return (f"This request is {which} and took {duration(step.took_us / 1000)}.",)


def _cost_sentences(inspection: Inspection) -> tuple[str, ...]:
    request = inspection.request
    if request.cost is None:
        return (cost_note(inspection),)
    known = [line for line in inspection.cost_lines() if line.cost is not None]
    lines = sorted(known, key=lambda line: -(line.cost or 0))
    if not lines or not request.cost:
        return (f"{money(request.cost)}.", cost_note(inspection))
    most = lines[0]
    part = share((most.cost or Decimal(0)) / request.cost)
    since = f", at a price since {most.row.effective_from.isoformat()}" if most.row else ""
    return (f"{money(request.cost)}; {part} of it {class_name(most.token_class).lower()}{since}.",)


def _ended_sentences(request: Request) -> tuple[str, ...]:
    told = []
    if request.status == "error":
        kind = one_line(request.error_type or "of an unknown kind", 60)
        said = f": {one_line(request.error_message, 160)}" if request.error_message else ""
        told.append(f"Error {kind}{said}")
    if request.resolution:
        told.append(f"Resolution: {request.resolution.replace('_', ' ')}.")
    if request.rating is not None:
        told.append(f"Rated {request.rating} of 5.")
    if request.quality is not None:
        told.append(f"Judged quality {request.quality:.2f} of 1.")
    return tuple(told) or ("No rating, no judgement.",)


def _answered_sentences(request: Request) -> tuple[str, ...]:
    told = [_model(request) + "."]
    if request.prompt_version:
        told.append(f"Prompt version {one_line(request.prompt_version, 60)}.")
    if request.experiment:
        arm = f", variant {one_line(request.variant, 60)}" if request.variant else ""
        told.append(f"Experiment {one_line(request.experiment, 60)}{arm}.")
    if request.cache_hit:
        told.append("An answer cache served it.")
    return tuple(told)


def _model(request: Request) -> str:
    if request.model is None:
        return "No model took part" if request.handled_by != "human" else "A person, without a model"
    name = one_line(request.model if not request.provider else f"{request.provider}/{request.model}", 90)
    returned = request.model_returned
    return name + (f", answering as {one_line(returned, 80)}" if returned and returned != request.model else "")


def kpis(inspection: Inspection) -> tuple[Kpi, ...]:
    request, trace, took = inspection.request, inspection.trace, took_ms(inspection)
    called = any(step.work == "model" for step in trace.steps)
    spent = trace.by_work()["model"] / 1000 if called else request.processing_ms
    of_whole = f"{share(min(spent / took, 1.0))} of the whole" if spent is not None and took else "no step or log says"
    first = first_token_ms(inspection)
    tokens = sum(request.tokens.values())
    scope = "from the first step to the end of the root" if trace.steps else "as the log said, the whole wait"
    return (
        Kpi(label="Took", value=duration(took), note=scope if took is not None else "no step or log says"),
        Kpi(label="In the model", value=duration(spent), note=of_whole),
        Kpi(label="First token", value=duration(first),
            note="after the call was made" if first is not None else "no step or log says"),
        Kpi(label="Cost", value=money(request.cost),
            note=f"{count(tokens, 'token')}" if request.usage_known else "usage not reported"),
    )  # fmt: skip


def first_token_ms(inspection: Inspection) -> float | None:
    """As the log said, or the request's own step, or the only model call of the trace that says it."""
    if inspection.request.first_token_ms is not None:
        return inspection.request.first_token_ms
    if inspection.own_step is not None and inspection.own_step.span.first_token_ms is not None:
        return inspection.own_step.span.first_token_ms
    said = [step.span.first_token_ms for step in inspection.trace.steps if step.span.first_token_ms is not None]
    return said[0] if len(said) == 1 else None


def waterfall_title(inspection: Inspection) -> str:
    """The finding: which steps, in order, the end waited for."""
    trace = inspection.trace
    if not trace.total_us:
        return "No step took a measurable time"
    waited = [(trace.steps[piece.step], piece) for piece in trace.path if piece.step is not None]
    by_step: dict[str, int] = {}
    for step, piece in waited:
        by_step[step.span.id] = by_step.get(step.span.id, 0) + piece.end_us - piece.start_us
    longest = sorted(by_step, key=lambda id: -by_step[id])[:NAMED_STEPS]
    names = list(dict.fromkeys(one_line(step.span.name, 40) for step, _ in waited if step.span.id in longest))
    return f"The end waited for {', then '.join(names)}" if names else "No step was recorded while it ran"


def waterfall_label(inspection: Inspection) -> str:
    trace = inspection.trace
    return (
        f"Waterfall of {count(len(trace.steps), 'step')} over {duration(trace.total_us / 1000)}. "
        f"{waterfall_title(inspection)}."
    )


def no_steps(request: Request) -> str:
    """Why there is no waterfall, and what would fill it."""
    if request.trace_id is None:
        return "No steps were recorded: the request names no trace. Spans come by assay ingest FILE --format otlp."
    return (
        f"Its trace {one_line(request.trace_id, 60)} has no steps in the store: none came along, or retention dropped "
        "their week. Spans come by assay ingest FILE --format otlp."
    )


def about(request: Request) -> tuple[tuple[str, str], ...]:
    """Everything the request said of itself, what it left out aside."""
    said: list[tuple[str, object]] = [
        ("Our id", request.id),
        ("Id at its source", f"{request.external_id} ({request.source})"),
        ("Began", request.at.isoformat()),
        ("Feature", request.feature),
        ("Category", request.category),
        ("Project", request.project),
        ("Environment", request.environment),
        ("Region", request.region),
        ("Language", request.language),
        ("Model asked for", request.model),
        ("Provider", request.provider),
        ("Model that answered", request.model_returned),
        ("Service tier", request.service_tier),
        ("Prompt version", request.prompt_version),
        ("Experiment", request.experiment),
        ("Variant", request.variant),
        ("Ticket", request.ticket),
        ("Turns", request.turns),
        ("Handled by", request.handled_by),
        ("Latency as logged", None if request.latency_ms is None else duration(request.latency_ms)),
        ("Model time as logged", None if request.processing_ms is None else duration(request.processing_ms)),
        ("Error", request.error_type),
        ("Error message", request.error_message),
        ("Comment of the user", request.comment),
        ("Confidence", None if request.confidence is None else f"{request.confidence:.2f} of 1"),
        ("Sentiment", None if request.sentiment is None else f"{request.sentiment:.2f} of 1"),
        ("Why it was escalated", request.escalation_reason),
        ("Trace", request.trace_id),
        ("Span", request.span_id),
        ("Taken in", f"{moment(request.recorded_at)}, batch {request.batch_id}{request.file and f', {request.file}'}"),
    ]  # fmt: skip
    return tuple((name, one_line(str(value), 400)) for name, value in said if value is not None)
