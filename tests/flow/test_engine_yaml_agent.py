"""An agent of the operator's own, written in YAML alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml

from configs.load import load_settings
from engine.app import Engine
from tests.support.engines import ROLES
from tests.support.provider import ScriptedProvider

QUESTION = "How long do I proof a sourdough loaf before it goes into the oven?"


@pytest.mark.req("route.discover")
async def test_an_agent_in_the_users_file_is_routed_to_and_speaks_with_its_own_instructions(tmp_path: Path):
    """No code, no file in the project: a name, what it is for, and what it shall be told."""
    async with ScriptedProvider() as provider:
        config = tmp_path / "mine.yaml"
        config.write_text(
            yaml.safe_dump(
                {
                    "agents": [
                        {
                            "name": "baker",
                            "description": "Bread baking: dough, sourdough, proofing times and oven temperatures.",
                            "instructions": "You are a baker. Give times and temperatures.",
                        }
                    ],
                    "providers": {"scripted": {"base_url": provider.url, "local": True}},
                    "models": {"m": {"provider": "scripted", "model": "m"}},
                    "roles": {role: ["m"] for role in ROLES},
                }
            )
        )
        environ = {"SWITCHGEAR_HOME": str(tmp_path / "data")}
        settings = await asyncio.to_thread(load_settings, "local", config, environ)
        async with Engine.open(settings=settings) as engine:
            answer = await engine.execute(QUESTION)
        sent = provider.requests[0].json["messages"][0]
    assert answer.decision.agent == "baker"
    assert sent == {"role": "system", "content": "You are a baker. Give times and temperatures."}
