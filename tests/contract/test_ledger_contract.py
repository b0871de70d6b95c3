"""What every ``Ledger`` does for a principal it admits; the shared ledger will join the list."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from configs.kernel import Deadline, Message, Money, Principal, Tier
from engine.contract import Ledger, Reservation
from engine.cost.ledger import DenyingLedger
from engine.types import Request

LEDGERS: list[Callable[[], Ledger]] = [DenyingLedger]


def asked(request_id: str = "r1", tier: Tier = Tier.LOCAL) -> Request:
    """A request of ``ada``."""
    return Request(
        id=request_id,
        principal=Principal(user_id="ada", tier=tier),
        messages=(Message("user", "hello"),),
        deadline=Deadline(60.0),
        ttl_s=60,
    )


@pytest.fixture(params=LEDGERS, ids=lambda ledger: ledger.__name__)
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """A fresh ledger of each kind."""
    return request.param()


@pytest.mark.req("cost.reserve")
async def test_an_admitted_request_holds_its_estimate(ledger: Ledger) -> None:
    """The reservation names the request and the amount."""
    assert await ledger.reserve(asked(), Money(5)) == Reservation(request_id="r1", estimate=Money(5))


@pytest.mark.req("cost.reserve")
async def test_reserving_twice_for_one_request_is_one_hold(ledger: Ledger) -> None:
    """A replay after a lost reply must not hold money twice."""
    first = await ledger.reserve(asked(), Money(5))
    assert await ledger.reserve(asked(), Money(9)) == first


@pytest.mark.req("cost.reserve")
async def test_a_request_that_cost_nothing_settles(ledger: Ledger) -> None:
    """Every hold can end at 0 and the id is free again."""
    await ledger.settle(await ledger.reserve(asked(), Money(5)), Money())
    assert (await ledger.reserve(asked(), Money(7))).estimate == Money(7)


@pytest.mark.req("cost.reserve")
async def test_an_abandoned_hold_is_over_and_a_settled_one_is_untouched_by_it(ledger: Ledger) -> None:
    """After either the id is free again; abandoning twice, or what was never held, is no error."""
    await ledger.reserve(asked(), Money(5))
    await ledger.abandon("r1")
    await ledger.abandon("r1")
    assert (await ledger.reserve(asked(), Money(7))).estimate == Money(7)
