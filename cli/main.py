"""assay: the commands. Each is imported when it is called, so that `assay --help` answers at once."""

import importlib
import os
import signal
import sys
from importlib.metadata import version

import click

from evaluations.errors import AssayError

SECTIONS: dict[str, dict[str, tuple[str, str, str]]] = {
    "Try it": {
        "demo": ("cli.demo", "demo", "The made-up traffic end to end: ingest, rollup, spend, pages, a deployment."),
        "sample-traffic": ("cli.sample_traffic", "sample_traffic", "Write made-up requests with known troubles."),
    },
    "Evaluate": {
        "run": ("cli.run", "run", "Run a suite, or go on with a run, and write its report."),
        "rescore": ("cli.rescore", "rescore", "Judge the answers of a run again, without any model call."),
        "runs": ("cli.runs", "runs", "List runs, show one, write its report again."),
        "experiments": (
            "cli.experiments",
            "experiments",
            "Compare variants: offline on a suite's cases, live on traffic.",
        ),
        "benchmark": ("cli.benchmark", "benchmark", "Rank models by accuracy, latency, cost or throughput."),
        "scorers": ("cli.scorers", "scorers", "List the scorers that a suite can name, or explain one."),
    },
    "Prompts and models": {
        "prompts": ("cli.prompts", "prompts", "Prompts in versions: register, compare, review, find."),
        "models": ("cli.models", "models", "Models: what they can do, cost and may be used for; test them."),
        "compare": ("cli.compare", "compare", "Models side by side: on the same cases, by price, by what they can do."),
        "cost": ("cli.cost", "cost", "What a month would cost on each of some models, and from which volume on."),
        "select": ("cli.select", "select", "The model that a policy chooses for a feature, with every reason."),
        "recommend": (
            "cli.recommend",
            "recommend",
            "What to change: another model, a mix, a route, a habit; or why nothing.",
        ),
        "recommendations": (
            "cli.recommend",
            "recommendations",
            "What was recommended: look, accept, dismiss, what it saved.",
        ),
        "prices": ("cli.prices", "prices", "What models cost and since when; bring prices up to the lists."),
    },
    "Production traffic": {
        "ingest": ("cli.ingest", "ingest", "Take in logs of production requests; bad rows wait in quarantine."),
        "quarantine": ("cli.ingest", "quarantine", "Rows that could not land: list them, mend them, try again."),
        "rollup": ("cli.rollup", "rollup", "Rewrite the facts of days from their requests."),
        "reprice": ("cli.reprice", "reprice", "Price requests of some days again, and report every difference."),
        "requests": ("cli.requests", "requests", "List production requests; where the time and money of one went."),
        "reviews": ("cli.reviews", "reviews", "Take in what people made of drafts of the AI."),
        "erase": ("cli.erase", "erase", "Forget one person: requests, spans and quarantine, with a record of it."),
        "retention": ("cli.retention", "retention", "How long requests are kept, and what is old enough to go."),
    },
    "What production says": {
        "report": ("cli.report", "report", "Write the pages about production: overview, spend, customer, one request."),
        "spend": ("cli.spend", "spend", "What requests cost, by any dimension and period, with its trend."),
        "performance": ("cli.performance", "performance", "How models and features did of late."),
        "customer": ("cli.customer", "customer", "What became of customers' matters, and what that is worth."),
        "reviewers": ("cli.reviews", "reviewers", "How far reviewers agree, with each other and with the AI."),
    },
    "Deploy": {
        "deploy": ("cli.deploy", "deploy", "Bring a winner into production: gate, approval, canary, watch."),
        "rollback": ("cli.rollback", "rollback", "Take a feature back to the bundle it had before, now."),
        "environments": (
            "cli.environments",
            "environments",
            "What may be deployed to development, staging, production.",
        ),
        "roles": ("cli.roles", "roles", "Who may read, run, approve and administer, where."),
        "notifications": ("cli.notifications", "notifications", "Who is told of decisions, and what became of it."),
        "audit": ("cli.audit", "audit", "Every decision, who made it and why; proof that none was changed."),
    },
    "Platform": {
        "up": (
            "cli.platform",
            "up",
            "Start database, Prefect server and worker, deploy every flow; mend what is broken.",
        ),
        "down": ("cli.platform", "down", "Stop the platform; what was committed stays."),
        "status": ("cli.platform", "status", "What runs, what is under way, what comes next."),
        "doctor": ("cli.doctor", "doctor", "Look at everything and name the command that mends what is wrong."),
        "db": ("cli.db", "db", "The store: upgrade its schema or its data, show where it is, stop it."),
    },
}
"""By what a person wants to do: of each command the module, the name in it, and its line in the help."""
COMMANDS = {name: where for section in SECTIONS.values() for name, where in section.items()}


class LateGroup(click.Group):
    """A group that knows its commands' names and one-liners, and imports a command only to run it."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from evaluations.errors import unknown_name

            raise click.UsageError(unknown_name("command", args[0], list(COMMANDS)))
        return super().resolve_command(context, args)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, line) for name, (_, _, line) in commands.items()])


@click.group(cls=LateGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("assay"), prog_name="assay")
def cli() -> None:
    """Evaluate AI features: verdicts that hold, money that is right, nothing lost.

    \b
    Start here:
      assay run support-tickets             a sample suite; no key, no network
      assay run my-suite.yaml --dry-run     what a run would call, cost and take
      assay run --resume last               go on where a run was left

    \b
    Exit codes:
      0 passed · 1 quality · 2 usage or configuration · 3 provider or infrastructure
      4 budget or time limit · 5 inconclusive · 130 interrupted

    Settings are ASSAY_* variables: ASSAY_HOME (data, default ~/.assay), ASSAY_DATABASE_URL
    (a PostgreSQL server instead of the embedded one), ASSAY_PREFECT_API_URL, ASSAY_REPORTS.
    """


def main() -> None:
    """The console script. Errors that a person is meant to read are one sentence on stderr, not a traceback."""
    # Before and after a run, where there is nothing to stop in order, both signals end the command alike.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _refuse_undecodable(sys.argv[1:])
        leave(cli.main(prog_name="assay", standalone_mode=False) or 0)
    except click.Abort:
        click.echo("assay: interrupted.", err=True)
        leave(130)
    except click.ClickException as problem:
        problem.show()
        leave(problem.exit_code)
    except AssayError as problem:
        click.echo(f"assay: {problem}", err=True)
        leave(problem.exit_code)
    except Exception as problem:  # noqa: BLE001 - the last place where a person can be told
        click.echo(f"assay: {_unexpected(problem)}", err=True)
        leave(3)


def _refuse_undecodable(arguments: list[str]) -> None:
    """Bytes that are no text could be neither stored nor shown; said here, no command has to think of them."""
    for each in arguments:
        try:
            each.encode()
        except UnicodeEncodeError:
            raise click.UsageError(f"{each!r} is not UTF-8 text.") from None


def _unexpected(problem: Exception) -> str:
    """One sentence about an error of our own; the traceback goes to a file, where it is out of the way."""
    import traceback

    from tasks.secrets import without_secrets
    from tasks.settings import settings

    log = settings().home / "crash.log"
    said = without_secrets(f"unexpected {type(problem).__name__}: {problem}".splitlines()[0])
    details = without_secrets("".join(traceback.format_exception(problem)))
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(details, encoding="utf-8", errors="replace")
    except OSError:
        return said
    return f"{said}. What was committed is safe. The details are in {log}."


def leave(code: int) -> None:
    """End the process now: what matters is committed, and libraries may still be waiting for threads of theirs."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
