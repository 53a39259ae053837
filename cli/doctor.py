"""assay doctor: what is wrong, and the command that mends it."""

import json

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> int:
    """Look at everything Assay stands on and name the command that mends what is wrong.

    Changes and starts nothing. Exits with 0 when there is no problem (warnings are none), with 3 otherwise.
    """
    from dataclasses import asdict

    from tasks.doctor import examine
    from tasks.settings import settings

    findings = examine(settings())
    problems = sum(finding.mark == "problem" for finding in findings)
    warnings = sum(finding.mark == "warning" for finding in findings)
    if as_json:
        click.echo(
            json.dumps({"problems": problems, "warnings": warnings, "findings": [asdict(each) for each in findings]})
        )
        return 3 if problems else 0
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        click.echo(f"{finding.mark:<8} {finding.name:<{width}}  {finding.found}")
        for command in finding.mend:
            click.echo(f"{'':<8} {'':<{width}}  -> {command}")
    click.echo(f"{_many(problems, 'problem')}, {_many(warnings, 'warning')}")
    return 3 if problems else 0


def _many(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
