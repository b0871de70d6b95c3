"""From what a caller passed to a ``Request``, or a typed refusal that costs nothing (admit.limits).

Pure: no I/O and no clock of its own. Identity (``Principal``) is the caller's to bring; nothing in the options
can change it (admit.principal).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast, get_args

from configs.history import DataSettings
from configs.kernel import Deadline, Message, Principal, Role
from configs.redact import is_utf8
from configs.settings import Settings
from configs.webhook_url import webhook_problem
from engine.errors import InvalidInput, NotBuilt
from engine.gateway.data_class import detect, stricter
from engine.types import PERSONAL, CacheMode, DataClass, OnUnavailable, Priority, Request

MODELS_MAX = 32
"""Model ids in one request; more legs than that are a mistake, and each costs a graph step."""
WINDOW_CHARS, OVERLAP_CHARS = 8_192, 512
"""Personal data is looked for in parts of a text; what is recognised, its words included, is shorter than the
overlap."""
OWN_TAGS = "switchgear."
"""How tags begin that this engine sets itself, such as ``SHADOW``."""
NAME_CHARS_MAX = 256
"""Longest name of an agent or model that is looked at; configured ones have at most 64 characters."""
IntOrNone = TypeVar("IntOrNone", int, None)
ROLES: frozenset[str] = frozenset(get_args(Role))
Prompt = str | Sequence[Message | Mapping[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything ``execute`` takes beside the prompt and the principal, as the caller gave it (serve.python)."""

    thread_id: object = None
    agent: object = None
    team: object = None
    strategy: object = None
    models: object = None
    deadline_s: object = None
    max_cost_usd: object = None
    max_tokens: object = None
    temperature: object = None
    cache: object = "default"
    ttl_s: object = None
    response_schema: object = None
    priority: object = "normal"
    data_class: object = None
    region: object = None
    tags: object = None
    on_unavailable: object = None
    webhook: object = None
    idempotency_key: object = None


def build_request(
    prompt: object, principal: Principal, options: Options, settings: Settings, *, request_id: str, now_s: float
) -> Request:
    """Validate everything once and freeze it.

    Raises ``InvalidInput`` (codes ``empty_prompt``, ``prompt_too_large``, ``not_text``, ``invalid_utf8``,
    ``nul_byte``, ``unsupported_content``, ``invalid_option``) and ``NotBuilt`` for real parameters whose
    feature this release lacks.
    """
    _refuse_not_built(options)
    limits = settings.request
    messages = _messages(prompt, settings)
    data_class = _data_class(options.data_class, messages, settings.data)
    return Request(
        id=request_id,
        principal=principal,
        messages=messages,
        max_tokens=_int("max_tokens", options.max_tokens, None, limits.max_tokens_max),
        temperature=_temperature(options.temperature),
        deadline=Deadline.after(_deadline_s(options.deadline_s, settings), now_s=now_s),
        deadline_s=_deadline_s(options.deadline_s, settings),
        agent=_agent(options.agent),
        models=_models(options.models),
        cache=cast("CacheMode", _one_of("cache", options.cache, get_args(CacheMode))),
        ttl_s=_int("ttl_s", options.ttl_s, settings.cache.ttl_s, settings.cache.ttl_s_max),
        tags=_tags(options.tags, limits.tags_max),
        data_class=data_class,
        region=_region(options.region),
        priority=cast("Priority", _one_of("priority", options.priority, get_args(Priority))),
        on_unavailable=_on_unavailable(options, settings.queue.enabled),
        webhook=_webhook(options.webhook, data_class, settings),
        idempotency_key=_idempotency_key(options.idempotency_key),
    )


def _on_unavailable(options: Options, queue: bool) -> OnUnavailable:
    given = options.on_unavailable
    if given is None:  # low priority is work that can wait, so it does unless its caller says otherwise
        return "queue" if options.priority == "low" and queue else "error"
    if given == "queue" and not queue:
        raise InvalidInput("the queue is switched off", hint="set queue.enabled", code="queue_disabled")
    return cast("OnUnavailable", _one_of("on_unavailable", given, get_args(OnUnavailable)))


def _webhook(value: object, data_class: DataClass, settings: Settings) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidInput(f"webhook must be a URL, not {type(value).__name__}", code="invalid_option")
    if data_class in PERSONAL:
        raise InvalidInput(
            f"an answer about {data_class} data is posted nowhere",
            hint="poll the ticket instead: `engine.ticket(id)`",
            code="invalid_webhook",
        )
    problem = webhook_problem(value, settings.queue.webhook_hosts)
    if problem is not None:
        raise InvalidInput(f"the webhook's URL {problem}", hint="see queue.webhook_hosts", code="invalid_webhook")
    return value


def _idempotency_key(value: object) -> str | None:
    if value is None:
        return None
    if not _is_name(value):
        raise InvalidInput(
            f"idempotency_key must be text of 1 to {NAME_CHARS_MAX} characters", code="invalid_option"
        )
    return cast("str", value)


def _one_of(name: str, value: object, choices: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in choices:
        raise InvalidInput(f"{name} {_shown(value)} is not one of {', '.join(choices)}", code="invalid_option")
    return value


def _refuse_not_built(options: Options) -> None:
    wanted = (
        (options.thread_id is not None, "thread_id (conversations)", "run.durable"),
        (options.team is not None, "team", "run.teams"),
        (options.max_cost_usd is not None, "max_cost_usd", "cost.reserve"),
        (options.response_schema is not None, "response_schema", "serve.python"),
    )
    for asked, feature, requirement in wanted:
        if asked:
            raise NotBuilt(feature, requirement)
    if options.strategy in ("parallel", "cascade", "graduated", "consensus"):
        raise NotBuilt(f"strategy={options.strategy!r}", f"run.{options.strategy}")
    if options.strategy not in (None, "auto", "single"):
        raise InvalidInput(f"strategy {_shown(options.strategy)} is not one", hint="use 'single', or leave it out")


def _data_class(value: object, messages: tuple[Message, ...], rules: DataSettings) -> DataClass:
    """What the caller says, or something stricter that stands in the messages (admit.data)."""
    said = rules.default if value is None else cast("DataClass", _one_of("data_class", value, get_args(DataClass)))
    if not rules.detect:
        return said
    for message in messages:
        for part in _windows(message.content):
            said = stricter(said, detect(part))
    return said


def _windows(text: str) -> Iterator[str]:
    """``text`` in overlapping parts: one call of a pattern then holds up other threads for a moment only."""
    step = WINDOW_CHARS - OVERLAP_CHARS
    for start in range(0, max(1, len(text) - OVERLAP_CHARS), step):
        yield text[start : start + WINDOW_CHARS]


def _region(value: object) -> str | None:
    if value is not None and not _is_name(value):
        raise InvalidInput(f"region must be a name of 1 to {NAME_CHARS_MAX} characters", code="invalid_option")
    return cast("str | None", value)


def _messages(prompt: object, settings: Settings) -> tuple[Message, ...]:
    limits = settings.request
    if isinstance(prompt, str):
        messages = (Message("user", prompt),)
    elif isinstance(prompt, Sequence) and not isinstance(prompt, bytes | bytearray):
        items = cast("Sequence[object]", prompt)
        if len(items) > limits.messages_max:
            raise InvalidInput(
                f"{len(items)} messages, at most {limits.messages_max} are taken", code="prompt_too_large"
            )
        messages = tuple(_message(item) for item in items)
    else:
        raise InvalidInput(
            f"the prompt must be text or a list of messages, not {type(prompt).__name__}", code="not_text"
        )
    size = sum(_text_bytes(m.content) for m in messages)
    if size > limits.prompt_bytes_max:
        raise InvalidInput(
            f"the prompt has {size:,} bytes, at most {limits.prompt_bytes_max:,} are taken",
            hint="shorten it, or raise request.prompt_bytes_max",
            code="prompt_too_large",
        )
    if not any(m.role == "user" and m.content.strip() for m in messages):
        raise InvalidInput("the prompt is empty", hint="ask something", code="empty_prompt")
    return messages


def _message(item: object) -> Message:
    if isinstance(item, Message):
        role, content = cast("tuple[object, object]", (item.role, item.content))
    elif isinstance(item, Mapping):
        fields = cast("Mapping[str, object]", item)
        role, content = fields.get("role"), fields.get("content")
    else:
        raise InvalidInput(f"a message must be a mapping, not {type(item).__name__}", code="not_text")
    if not isinstance(role, str) or role not in ROLES:
        raise InvalidInput(
            f"message role {_shown(role)} is not one of {', '.join(sorted(ROLES))}", code="invalid_message"
        )
    if not isinstance(content, str):
        raise InvalidInput(
            "a message's content must be text",
            hint="image and tool parts are not taken yet",
            code="unsupported_content",
        )
    return Message(cast("Role", role), content)


def _text_bytes(text: str) -> int:
    if "\0" in text:
        raise InvalidInput("the prompt holds a NUL byte", hint="remove it", code="nul_byte")
    try:
        return len(text.encode())
    except UnicodeEncodeError as exc:
        raise InvalidInput("the prompt is not valid UTF-8", hint="decode it first", code="invalid_utf8") from exc


def _int(name: str, value: object, default: IntOrNone, most: int) -> int | IntOrNone:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise InvalidInput(f"{name} must be a whole number from 1 to {most}", code="invalid_option")
    return value


def _deadline_s(value: object, settings: Settings) -> float:
    most = settings.request.deadline_s_max
    if value is None:
        return settings.request.deadline_s
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        raise InvalidInput(f"deadline_s must be above 0 and at most {most:g}", code="invalid_option")
    return float(value)


def _temperature(value: object) -> float | None:
    if value is None:
        return None
    # No math.isfinite: it fails on whole numbers beyond a float. NaN and infinity are out of bounds too.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 2:
        raise InvalidInput("temperature must be from 0 to 2", code="invalid_option")
    return float(value)


def _agent(value: object) -> str | None:
    if value is None:
        return None
    if not _is_name(value):
        raise InvalidInput(f"agent must be a name of 1 to {NAME_CHARS_MAX} characters", code="invalid_option")
    return cast("str", value)


def _models(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        names = cast("Sequence[object]", value)
        if 0 < len(names) <= MODELS_MAX and all(_is_name(name) for name in names):
            return tuple(dict.fromkeys(cast("Sequence[str]", names)))
    raise InvalidInput(f"models must be a list of 1 to {MODELS_MAX} model ids", code="invalid_option")


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= NAME_CHARS_MAX and is_utf8(value)


def _shown(value: object) -> str:
    """A caller's value for a message: short, and never the ``repr`` of something that may be huge."""
    return repr(value[:32]) if isinstance(value, str) else f"of type {type(value).__name__}"


def _tags(value: object, most: int) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or len(cast("Mapping[object, object]", value)) > most:
        raise InvalidInput(f"tags must be a mapping of at most {most} entries", code="invalid_option")
    tags: dict[str, str] = {}
    for key, text in cast("Mapping[object, object]", value).items():
        if not (isinstance(key, str) and isinstance(text, str) and len(key) <= 64 and len(text) <= 256):
            raise InvalidInput("tags map short text to short text (64 and 256 characters)", code="invalid_option")
        if not is_utf8(key) or not is_utf8(text) or key.startswith(OWN_TAGS):
            raise InvalidInput(f"tags are valid UTF-8 and do not begin with {OWN_TAGS!r}", code="invalid_option")
        tags[key] = text
    return tags
