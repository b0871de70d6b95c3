"""Settings of a shared breaker that would make it count wrongly or fail are refused where they are read."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from configs.settings import BreakerSettings


@pytest.mark.req("brk.shared")
@pytest.mark.parametrize(("unsent_max", "dedup_calls"), [(64, 64), (256, 64)])
def test_more_may_not_wait_than_is_recognised_when_sent_twice(unsent_max: int, dedup_calls: int) -> None:
    """B6: the ids of one whole message, and of the report that set it off, are remembered; both keys are named."""
    with pytest.raises(ValidationError, match=rf"unsent_max \({unsent_max}\).*dedup_calls \({dedup_calls}\)"):
        BreakerSettings(unsent_max=unsent_max, dedup_calls=dedup_calls)
    assert BreakerSettings(unsent_max=63, dedup_calls=64).unsent_max == 63


@pytest.mark.req("brk.shared")
def test_the_script_is_never_asked_to_return_more_events_than_it_can() -> None:
    """Lua returns some thousands of values at most, and would fail after the step has written."""
    with pytest.raises(ValidationError, match="events_kept"):
        BreakerSettings(events_kept=1_001)
    assert BreakerSettings(events_kept=1_000).events_kept == 1_000
