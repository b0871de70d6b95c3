"""Which Redis URLs are taken, and that none is ever repeated: a password may stand anywhere in it."""

from __future__ import annotations

import asyncio
import traceback

import pytest
from pydantic import SecretStr, ValidationError

from configs.errors import ConfigError
from configs.load import load_settings
from configs.settings import RedisSettings, Settings
from engine.redis_client import connect

SECRETS = ("hun", "ter2")
BAD = [
    "localhost:6379",
    "localhost",
    "6379",
    "http://h:6379",
    "redis:/h",
    "redis://",
    "redis://:hun/ter2@host",
    "redis://:12/ter2@host",
    "redis://:hun#ter2@host",
    "redis://:12#ter2@host",
    "redis://:hun?ter2@host",
    "redis://host?hun@ter2",
    "redis://:hun[ter2@host",
    "redis://:hun ter2@host",
    "redis://host:99999/hunter2",
    "redis://host/hunter2",
    "unix://",
    "unix://relative/hunter2",
    "unix://:hun/ter2@host",
    "rediss://:hun\nter2@host",
]
pytestmark = pytest.mark.req("admit.limits")


@pytest.mark.parametrize("name", ["CACHE", "STATE"])
@pytest.mark.parametrize("url", BAD)
def test_a_url_that_cannot_work_is_refused_without_a_word_of_it(url: str, name: str):
    """The variable, the key and the schemes are named; the stack trace holds no part of the password either."""
    with pytest.raises(ConfigError) as caught:
        load_settings(environ={f"SWITCHGEAR_REDIS__{name}_URL": url})
    shown = "".join(traceback.format_exception(caught.value))
    message = str(caught.value)
    assert f"SWITCHGEAR_REDIS__{name}_URL: redis.{name.lower()}_url: must be" in message
    assert all(scheme in message for scheme in ("redis://", "rediss://", "unix://"))
    assert not any(secret in shown for secret in SECRETS)


@pytest.mark.parametrize("url", BAD)
def test_settings_made_in_python_keep_it_as_quiet(url: str):
    """pydantic's own text would quote what it was given."""
    for make in (lambda: RedisSettings(cache_url=SecretStr(url)), lambda: Settings(redis={"cache_url": url})):  # pyright: ignore[reportArgumentType] - what a caller may pass
        with pytest.raises(ValidationError) as caught:
            make()
        assert not any(secret in str(caught.value) for secret in SECRETS)


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "redis://h/",
        "redis://h:6379/1",
        "redis://user:p%2Fw@h",
        "redis://:p@w@h",
        "rediss://h?ssl_cert_reqs=none",
        "redis://[::1]:6379",
        "unix:///run/redis.sock",
        "unix://:pw@/run/redis.sock?db=1",
        "REDIS://h",
    ],
)
async def test_a_url_that_redis_takes_is_taken(url: str):
    """The twin of the refusals; each also makes a client."""
    settings = await asyncio.to_thread(load_settings, environ={"SWITCHGEAR_REDIS__CACHE_URL": url})
    assert settings.redis.cache_url == SecretStr(url)
    await connect(url, None, settings.redis).aclose()


@pytest.mark.parametrize(
    "url", ["redis://:hun/ter2@host", "hunter2", "redis://h?hunter2=1", "redis://h?socket_timeout=hunter2"]
)
def test_what_only_the_client_refuses_is_a_configuration_error_too(url: str):
    """Options are redis-py's to judge; its messages, which quote them, stay inside."""
    with pytest.raises(ConfigError) as caught:
        connect(url, None, RedisSettings())
    shown = "".join(traceback.format_exception(caught.value))
    assert "redis.cache_url" in shown
    assert not any(secret in shown.partition("ConfigError")[2] for secret in SECRETS)
    assert caught.value.__suppress_context__
