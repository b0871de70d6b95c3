"""Where a model is served and with which key: the checked form of a provider's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import SecretStr

from configs.catalogue import ProviderSettings
from configs.errors import ConfigError

MaxTokensField = Literal["max_tokens", "max_completion_tokens"]
OPENAI_HOSTS = ("api.openai.com",)
OPENAI_SUFFIXES = (".openai.com", ".openai.azure.com")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An OpenAI-compatible URL that may be called. ``key_missing`` names a variable that should hold a key."""

    base_url: str
    api_key: SecretStr | None = None
    key_missing: str | None = None
    max_tokens_field: MaxTokensField = "max_tokens"

    @classmethod
    def of(cls, provider: ProviderSettings, environ: Mapping[str, str]) -> Endpoint:
        """Check a provider's settings against the environment as it was read at start.

        A key that is not there is no error: the route exists and refuses (``key_missing``). Raises
        ``ConfigError`` for a URL or a key that can never work, naming the variable, never its value.
        """
        name = provider.api_key_env
        raw = environ.get(name, "").strip() if name is not None else ""
        key = SecretStr(raw) if raw else None
        if key is not None and not (raw.isascii() and raw.isprintable() and " " not in raw):
            raise ConfigError(
                f"{name} holds characters that no key has", hint="check it for line breaks and quotes"
            )
        host = _checked_host(provider, key is not None)
        return cls(
            base_url=provider.base_url,
            api_key=key,
            key_missing=name if key is None and not provider.local else None,
            max_tokens_field=provider.max_tokens_field or _field_for(host),
        )


def _checked_host(provider: ProviderSettings, has_key: bool) -> str:
    """The host that will be called. ``ProviderSettings`` has checked the form of the URL, not its port."""
    url = urlsplit(provider.base_url)
    if not url.hostname or not _has_port(url):
        raise ConfigError("a provider's base_url has no host, or a port that does not exist")
    host = url.hostname
    if url.scheme == "http" and has_key and not (provider.local or _is_loopback(host)):
        raise ConfigError(
            f"the key for {host} would travel unencrypted", hint="use https, or mark the provider `local`"
        )
    return host


def _has_port(url: SplitResult) -> bool:
    try:
        return url.port is None or url.port > 0
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _field_for(host: str) -> MaxTokensField:
    is_openai = host in OPENAI_HOSTS or host.endswith(OPENAI_SUFFIXES)
    return "max_completion_tokens" if is_openai else "max_tokens"
