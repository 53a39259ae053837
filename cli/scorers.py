"""assay scorers: list the scorers that a suite can name, or explain one."""

import click


@click.command()
@click.argument("name", required=False)
def scorers(name: str | None) -> None:
    """List the scorers that a suite can name; with NAME, its settings."""
    from evaluations.scoring import catalogue, settings_schema

    if name is None:
        family = ""
        for scorer, its_family, line in catalogue():
            if its_family != family:
                family = its_family
                click.echo(f"\n{family}")
            click.echo(f"  {scorer:<24} {line}")
        return
    schema = settings_schema(name)
    click.echo(f"{name}: {schema.get('description', '')}")
    for setting, described in schema.get("properties", {}).items():
        default = f" (default {described['default']!r})" if "default" in described else " (required)"
        click.echo(f"  {setting}{default}: {described.get('description', '')}")
