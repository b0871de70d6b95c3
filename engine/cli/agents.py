"""``switchgear agents``: who can be asked. Reads the configuration; starts nothing."""

from __future__ import annotations

from rich.table import Table

from engine.cli import options
from engine.cli.console import out, print_json


def agents(
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """List the agents, their teams and the models that answer for them."""
    _ = debug
    from configs.load import load_settings  # noqa: PLC0415 - keeps --help light

    settings = load_settings(profile, config)
    teams = {name: team.name for team in settings.teams for name in team.agents}
    rows = [
        {
            "name": agent.name,
            "team": teams.get(agent.name),
            "role": agent.role,
            "models": list(settings.roles.get(agent.role, settings.roles.get("default", ()))),
            "keywords": list(agent.keywords),
            "tools": list(agent.tools),
            "description": agent.description,
        }
        for agent in settings.agents
    ]
    if as_json:
        print_json(rows)
        return
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("agent", "team", "role", "models", "what it is for"):
        table.add_column(name)
    for row in rows:
        models = row["models"]
        chain = " → ".join(str(m) for m in models) if isinstance(models, list) else ""
        table.add_row(str(row["name"]), str(row["team"] or ""), str(row["role"]), chain, str(row["description"]))
    out().print(table)
