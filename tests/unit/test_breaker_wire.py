"""What travels between a shared breaker and its script: keys, rules and replies, damaged ones too (X1, X5, X6)."""

from __future__ import annotations

import json
import math

import pytest

from configs.kernel import Outcome
from configs.settings import BreakerSettings
from engine.contract import BreakerState, BreakerView, Permit, Report
from engine.resilience.script import SERVER_CLOCK, lua_text
from engine.resilience.wire import Asked, BadReply, Ended, Order, keys_of, request_json, rules_json, stands_of

STANDS = {
    "state": "open",
    "generation": "1763700000001",
    "failures": "3",
    "ema": "0.72900000000000009",
    "retry_after_s": "59.5",
    "reason": "3 failures in a row",
    "errors": ["boom"],
    "actor": "",
    "effects": ["counted"],
    "granted": False,
    "why": "no",
    "opens": "1",
    "now": "1763700000.25",
}


@pytest.mark.req("brk.shared")
def test_keys_of_a_subject_share_a_slot_whatever_its_name() -> None:
    """X1, X6: one hash tag, no brace or control character of the caller's in it, different names never equal."""
    names = ("model:p/m#k", "}{", "a}b", "a%7Db", "line\nbreak", "ключ", "\ud800", "")
    order = Order(id="x y", state=BreakerState.DISABLED, actor="ada", reason="")
    seen = set[str]()
    for name in names:
        keys = keys_of(name, order)
        tags = {key[key.index("{") + 1 : key.index("}")] for key in keys}
        assert len(tags) == 1
        assert len(set(keys)) == 5
        assert all(key.isascii() and key.isprintable() and " " not in key for key in keys)
        seen |= tags
    assert len(seen) == len(names)


@pytest.mark.req("brk.shared")
@pytest.mark.parametrize(
    ("field", "seconds"),
    [
        ("window_s", 1e6),
        ("park_s_max", 1e6),
        ("reprobe_s", 1e6),
        ("kept_s", 1e6),
        ("lease_s", 1e6),
        ("open_s_max", 1e6),
    ],
)
def test_keys_outlive_every_time_a_record_speaks_of(field: str, seconds: float) -> None:
    """X5: whichever setting is the longest, the record lives longer, and at least as long as ``kept_s``."""
    rules = BreakerSettings(**{field: seconds})
    sent = json.loads(rules_json(rules))
    assert sent["ttl_s"] >= (seconds if field == "kept_s" else 2 * seconds)
    assert isinstance(sent["ttl_s"], int)


@pytest.mark.req("brk.shared")
@pytest.mark.parametrize("asked_s", [None, math.nan, math.inf, -math.inf, -1.0, 0.0, 1e308])
def test_any_retry_after_can_be_sent(asked_s: float | None) -> None:
    """Fault 13: what no JSON can hold is sent as none, zero or more than any limit."""
    permit = Permit(subject="s", call_id="c\ud800", generation=1, probe=False, state=BreakerState.CLOSED)
    result = Report(outcome=Outcome.THROTTLE, reason="\udfff", retry_after_s=asked_s)
    asked = Asked(subject="s", seen=None, reports=(Ended(permit=permit, result=result, sample=0.5),))
    text = request_json(asked)
    sent = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))["reports"][0]
    none = asked_s is None or math.isnan(asked_s)
    assert sent[4] is False if none else 0.0 <= sent[4] < math.inf
    assert text.encode().isascii()
    assert "\\ud800" not in sent[0] or sent[0] == "c\\ud800"  # written out, no longer a surrogate


@pytest.mark.req("brk.shared")
def test_a_reply_is_read_to_the_last_bit() -> None:
    """Numbers travel as text with 17 digits."""
    stands = stands_of("s", [json.dumps(STANDS).encode()])
    assert stands.view == BreakerView(
        subject="s",
        state=BreakerState.OPEN,
        generation=1_763_700_000_001,
        consecutive_failures=3,
        ema_success=0.9 * 0.9 * 0.9,
        retry_after_s=59.5,
        reason="3 failures in a row",
        last_errors=("boom",),
    )
    assert (stands.granted, stands.why, stands.opens, stands.now_s) == (False, "no", 1, 1_763_700_000.25)


@pytest.mark.req("brk.shared")
@pytest.mark.parametrize("name", STANDS)
def test_a_reply_that_lacks_something_is_no_reply(name: str) -> None:
    """Fault 59: only what may be absent may be absent."""
    reply = [json.dumps({key: value for key, value in STANDS.items() if key != name}).encode()]
    if name in ("retry_after_s", "granted", "why"):
        assert stands_of("s", reply)
    else:
        with pytest.raises(BadReply):
            stands_of("s", reply)


@pytest.mark.req("brk.shared")
@pytest.mark.parametrize(
    "reply", [None, [], b"", [b"x"], [b"[]"], [None], 7, [json.dumps(STANDS).encode(), b"{}"]]
)
def test_nonsense_is_no_reply(reply: object) -> None:
    """Whatever answers in Redis' place, one kind of error comes out of it."""
    with pytest.raises(BadReply):
        stands_of("s", reply)


@pytest.mark.req("brk.shared")
def test_only_the_servers_clock_is_in_the_script() -> None:
    """X2: the product's script asks for TIME and reads no time from its arguments."""
    text = lua_text(SERVER_CLOCK)
    assert text.startswith("#!lua\n")
    assert text.count("redis.call('TIME')") == 1
    assert "ARGV[3]" not in text
    assert "os." not in text
