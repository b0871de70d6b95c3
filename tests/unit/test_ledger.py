"""The ledger of a release without budgets: whom it refuses, and that its sums are right."""

from __future__ import annotations

import pytest

from configs.kernel import Deadline, Message, Money, Principal, Tier
from engine.contract import Reservation
from engine.cost.ledger import DenyingLedger
from engine.errors import NotBuilt
from engine.types import Request


def asked(request_id: str, tier: Tier = Tier.LOCAL) -> Request:
    """A request of a principal of ``tier``."""
    return Request(
        id=request_id,
        principal=Principal(user_id="ada", tier=tier),
        messages=(Message("user", "hello"),),
        deadline=Deadline(60.0),
        ttl_s=60,
    )


@pytest.mark.req("admit.budget")
@pytest.mark.parametrize("tier", [Tier.FREE, Tier.PRO])
async def test_a_tier_with_a_budget_is_refused_by_name(tier: Tier) -> None:
    """Nobody must believe in a cap that nobody enforces."""
    ledger = DenyingLedger()
    with pytest.raises(NotBuilt) as caught:
        await ledger.reserve(asked("r1", tier), Money(5))
    assert caught.value.requirement == "admit.budget"
    assert tier.value in str(caught.value)
    assert (ledger.held, ledger.spent) == (Money(), Money())


@pytest.mark.req("admit.budget")
@pytest.mark.parametrize("tier", [Tier.LOCAL, Tier.ENTERPRISE])
async def test_a_tier_without_a_budget_is_admitted(tier: Tier) -> None:
    """The twin of the refusal: in-process callers and enterprise go through."""
    ledger = DenyingLedger()
    await ledger.reserve(asked("r1", tier), Money(5))
    assert ledger.held == Money(5)


@pytest.mark.req("cost.reserve")
async def test_settling_turns_the_hold_into_what_was_spent() -> None:
    """Held and spent are the sums over requests in flight and finished (L3, L5)."""
    ledger = DenyingLedger()
    one = await ledger.reserve(asked("r1"), Money(100))
    await ledger.reserve(asked("r2"), Money(30))
    assert ledger.held == Money(130)
    await ledger.settle(one, Money(70))
    assert (ledger.held, ledger.spent) == (Money(30), Money(70))


@pytest.mark.req("cost.reserve")
async def test_settling_twice_or_without_a_hold_charges_nothing_more() -> None:
    """L3: settle is idempotent, and a stranger's reservation is not money."""
    ledger = DenyingLedger()
    hold = await ledger.reserve(asked("r1"), Money(100))
    await ledger.settle(hold, Money(70))
    await ledger.settle(hold, Money(70))
    await ledger.settle(Reservation(request_id="never", estimate=Money(5)), Money(5))
    assert (ledger.held, ledger.spent) == (Money(), Money(70))


@pytest.mark.req("cost.reserve")
async def test_an_abandoned_hold_is_charged_in_full_and_a_settled_one_only_once() -> None:
    """L2: a call that was cut is never a refund; what was settled stays as settled."""
    ledger = DenyingLedger()
    await ledger.reserve(asked("cut"), Money(5))
    await ledger.settle(await ledger.reserve(asked("done"), Money(9)), Money(2))
    await ledger.abandon("cut")
    await ledger.abandon("done")
    assert (ledger.held, ledger.spent) == (Money(), Money(7))
