"""Nets on a real PostgreSQL: every line is booked to its account, over dates and cycles."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from settlement.desk import holds, netted, rebates, subsidies
from settlement.errors import UsageError
from settlement.steps import pay_merchants
from switch.ledger.chart import Account
from tests.integration.settlement.merchants.nights import AT, CHECKER, MAKER, Nights

D = date(2026, 11, 16)  # a Monday

Make = Callable[..., Nights]


def on(days: int) -> date:
    return D + timedelta(days=days)


def test_worked_example_6_as_booked(make: Make) -> None:
    city = make()
    city.merchant(1, 300_000_000)
    city.merchant(2, 900_000_000)
    city.trade(D, 1, 4_500 + 12_900 + 33_350)
    city.trade(D, 2, 30_000, 200_000)
    city.pay(D)
    first = city.nets(D)
    assert (first[1]["fee"], first[1]["paid"]) == (76, 50_674)
    assert (first[2]["fee"], first[2]["carried_out"]) == (-1_530, -168_470)
    city.trade(on(1), 2, 500_000)
    city.pay(on(1))
    assert city.nets(on(1))[2]["paid"] == 327_030
    assert [city.balance(Account.MERCHANT_PAYABLE, each) for each in (1, 2)] == [0, 0]
    assert city.balance(Account.PAYOUT_SENT, 2) == 327_030


def test_every_line_is_booked_to_its_account(make: Make) -> None:
    city = make(fee_vat_ppm=100_000, payout_unit=100)
    shop = city.merchant(1, 900_000_000)  # 0.90 %
    city.desk(holds.place, shop, "new shop", MAKER, AT, rate_ppm=100_000, max_won=30_000)
    rows = [
        subsidies.Subsidy("s-1", shop, "city", 7_000, "delivery"),
        subsidies.Subsidy("s-2", shop, "national", 500, "x"),
    ]
    _give(city, rows)
    city.trade(D, 1, 512_345, 12_000)
    told = city.pay(D)
    [row] = city.nets(D).values()
    assert (row["fee"], row["vat"], row["subsidy"], row["reserved"]) == (4_503, 450, 7_500, 30_000)
    due = 500_345 - 4_503 - 450 + 7_500 - 30_000
    assert (row["rounding"], row["paid"]) == (due % 100, due - due % 100)
    assert (told.vat, told.subsidies, told.reserved, told.rounding) == (450, 7_500, 30_000, due % 100)
    booked = city.all(
        "SELECT debit, credit, won, funder_no FROM house_entry"
        " WHERE posting = 'pay_merchants:2026-11-16:1' ORDER BY line"
    )
    payable = Account.MERCHANT_PAYABLE
    assert booked == [
        (payable, Account.FEE_INCOME, 4_503, 0),
        (payable, Account.VAT_DUE, 450, 0),
        (Account.FUNDER_DUE, payable, 500, city.funder_no["national"]),
        (Account.FUNDER_DUE, payable, 7_000, city.funder_no["city"]),
        (payable, Account.MERCHANT_RESERVE, 30_000, 0),
        (payable, Account.ROUNDING, due % 100, 0),
        (payable, Account.PAYOUT_SENT, due - due % 100, 0),
    ]
    # Released: it comes back in the next run, though the shop sold nothing.
    city.desk(holds.release, shop, holds.RESERVE, MAKER, AT)
    city.pay(on(1))
    [next_row] = city.nets(on(1)).values()
    assert (next_row["released"], next_row["paid"], next_row["reserve"]) == (30_000, 30_000, 0)
    assert city.balance(Account.MERCHANT_RESERVE, 1) == 0


def test_what_is_released_is_paid_by_a_later_cycle_of_the_same_date(make: Make) -> None:
    city = make()
    shop = city.merchant(1)
    city.desk(holds.place, shop, "complaints", MAKER, AT)
    city.trade(D, 1, 100_000)
    assert (city.pay(D).held, city.nets(D)[1]["held"]) == (99_850, "hold")
    assert city.pay(D, cycle=2).paid == 0
    city.desk(holds.release, shop, holds.HOLD, MAKER, AT)
    third = city.pay(D, cycle=3)
    assert (third.sold, third.fees, third.paid) == (0, 0, 99_850)
    assert city.all("SELECT cycle, end_to_end_id FROM payout") == [(3, "DURE00001-20261116-03-1-01")]
    assert city.balance(Account.MERCHANT_PAYABLE, 1) == 0
    assert city.pay(on(1)).merchants == 0


def test_a_run_that_would_carry_on_what_a_later_one_has_is_refused(make: Make) -> None:
    city = make()
    city.merchant(1, account="")
    city.trade(D, 1, 1_000)
    city.pay(D)
    city.pay(on(1))
    with pytest.raises(UsageError, match="pay again with the latest date"):
        city.pay(D, cycle=2)


def test_since_when_it_is_carried_is_kept_until_it_is_paid(make: Make) -> None:
    city = make()
    city.merchant(1, account="")
    city.trade(D, 1, 1_000)
    for days in range(3):
        city.pay(on(days))
    row = city.nets(on(2))[1]
    assert (row["carried_since"], row["carried_out"], row["held"]) == (D, 999, "account")
    city.sql("UPDATE merchant SET account_no = '1'")
    city.pay(on(3))
    assert city.nets(on(3))[1]["carried_since"] is None


def test_a_merchant_with_the_account_that_pays_is_held_and_stops_nobody(make: Make) -> None:
    city = make()
    own = city.settings.originator["seoro"]
    shop = city.merchant(1, account=f"{own.account[:3]}-{own.account[3:]}")
    city.sql("UPDATE merchant SET bank_code = :bank", bank=own.bank)
    city.merchant(2)
    for number in (1, 2):
        city.trade(D, number, 1_000)
    told = city.pay(D)
    assert (told.payouts, told.held_merchants, told.held) == (1, 1, 999)
    assert city.nets(D)[1]["held"] == "own"
    [line] = city.do(D, lambda frame: pay_merchants.held_merchants(frame, 5))
    assert line.startswith(f"merchant {shop}: 999 won held, its account is the one that merchants are paid")
    city.sql("UPDATE merchant SET account_no = '1' WHERE merchant_no = 1")
    city.pay(on(1))
    assert city.nets(on(1))[1]["paid"] == 999


def test_the_hash_of_the_inputs_tells_an_account_or_a_hold_apart(make: Make) -> None:
    seen = set()
    for change in (None, "account", "hold"):
        city = make()
        shop = city.merchant(city.no, account="1" if change == "account" else "2")
        if change == "hold":
            city.desk(holds.place, shop, "x", MAKER, AT)
        city.pay(D)
        city.trade(on(1), city.no, 5_000)
        city.pay(on(1))
        seen.add(
            city.all(
                "SELECT inputs_sha256 FROM settlement_step WHERE programme_no = :no AND business_date = :day",
                no=city.no,
                day=on(1),
            )[0][0]
        )
    assert len(seen) == 3


def test_a_preview_takes_nothing_and_tells_what_the_run_books(make: Make) -> None:
    city = make(fee_vat_ppm=100_000)
    shop = city.merchant(1, 900_000_000)
    _give(city, [subsidies.Subsidy("s-1", shop, "city", 7_000, "delivery")])
    city.trade(D, 1, 200_000)
    city.close(D)

    def preview(frame):  # type: ignore[no-untyped-def]
        with frame.connection.begin():
            return pay_merchants.preview(frame)

    told, lines = city.do(D, preview)
    assert city.all("SELECT taken_date FROM merchant_subsidy") == [(None,)]
    assert city.pay(D) == told
    [line] = lines
    assert (line.subsidy, line.vat, line.paid) == (7_000, 180, 200_000 - 1_800 - 180 + 7_000)
    assert city.do(D, preview) == (told, lines)  # once it is paid, what the run has taken


class Plan:
    """What a random programme does: drawn by hypothesis, obeyed night by night."""

    amount = st.integers(0, 300_000)
    act = st.sampled_from(
        ["", "", "", "hold", "release hold", "reserve", "release reserve", "subsidy", "account"]
    )
    night = st.tuples(
        st.lists(st.tuples(st.integers(0, 3), amount, st.one_of(st.just(0), amount)), max_size=4),
        st.lists(st.tuples(st.integers(0, 3), act), max_size=3),
        st.booleans(),
    )


@settings(
    max_examples=6,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # a smaller case costs more than it tells here
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    nights=st.lists(Plan.night, min_size=2, max_size=7),
    unit=st.sampled_from([1, 10, 1_000]),
    vat=st.sampled_from([0, 100_000]),
)
def test_the_books_hold_what_the_nets_say(make: Make, nights: list, unit: int, vat: int) -> None:  # type: ignore[type-arg]
    city = make(payout_unit=unit, fee_vat_ppm=vat)
    base = city.no * 10
    shops = [
        city.merchant(base + each, (None, 200_000_000, 900_000_000, 200_000_000)[each]) for each in range(4)
    ]
    held: set[int] = set()
    given_ = 0
    runs: list[tuple[date, int]] = []
    for days, (trades, acts, again) in enumerate(nights):
        day = on(days)
        for each, sales, refunds in trades:
            city.trade(day, base + each, sales, refunds)
        for each, act in acts:
            given_ += 1
            _act(city, shops[each], base + each, act, f"r-{given_}")
        for cycle in (1, 2) if again else (1,):
            city.pay(day, cycle)
            runs.append((day, cycle))
            rows = city.nets(day, cycle)
            payable = city.balances(Account.MERCHANT_PAYABLE)
            reserve = city.balances(Account.MERCHANT_RESERVE)
            held = {
                int(str(no))
                for (no,) in city.all(
                    "SELECT merchant_no FROM merchant_hold WHERE kind = 'hold' AND released_at IS NULL"
                    " AND programme_no = :no",
                    no=city.no,
                )
            }
            for number in range(base, base + 4):
                row = rows.get(number, {"carried_out": 0, "reserve": 0, "paid": 0})
                assert payable.get(number, 0) == row["carried_out"]
                assert reserve.get(number, 0) == row["reserve"]
                assert not (number in held and row["paid"])
    # A re-classification gives the difference back, once; and all rows follow again from what is stored.
    city.classed(base, on(5), 100_000_000)
    _rebate(city, on(0), on(len(nights) - 1))
    last = on(len(nights))
    city.pay(last)
    city.pay(last, 2)
    fees = city.all(
        "SELECT sum(fee + vat - rebate - rebate_vat)::bigint FROM merchant_net WHERE merchant_no = :m", m=base
    )
    due = city.all(
        "SELECT sales - refunds AS net FROM merchant_net WHERE merchant_no = :m AND sales <> refunds", m=base
    )
    charged = city.all("SELECT won FROM fee_rebate WHERE merchant_no = :m", m=base)
    if charged:
        assert fees[0][0] == sum(_fee(int(str(net)), vat) for (net,) in due)
    for day, cycle in [*runs, (last, 1), (last, 2)]:
        again_, stored = city.do(day, _twice, cycle)
        assert again_ == stored


def _fee(net: int, vat: int) -> int:
    fee = abs(net) * 1_500 // 1_000_000
    whole = fee + fee * vat // 1_000_000
    return whole if net > 0 else -whole


def _twice(frame):  # type: ignore[no-untyped-def]
    with frame.connection.begin():
        return list(netted.recompute(frame)), list(netted.recorded(frame))


def _act(city: Nights, shop: str, number: int, act: str, reference: str) -> None:
    kind = act.split()[-1] if act else ""
    try:
        if act in ("hold", "reserve"):
            more = {"rate_ppm": 200_000, "max_won": 40_000} if act == "reserve" else {}
            city.desk(holds.place, shop, "why", MAKER, AT, **more)
        elif act.startswith("release"):
            city.desk(holds.release, shop, kind, MAKER, AT)
    except UsageError:
        pass  # there is one already, or none: what the desk says then is tested beside
    if act == "subsidy":
        _give(city, [subsidies.Subsidy(reference, shop, "district", 12_345, "market day")])
    if act == "account":
        city.sql(
            "UPDATE merchant SET account_no = CASE account_no WHEN '' THEN '5' ELSE '' END"
            " WHERE merchant_no = :m",
            m=number,
        )


def _give(city: Nights, rows: list[subsidies.Subsidy]) -> None:
    facts = city.facts()
    city.desk(subsidies.add, facts, Path("gifts.csv"), rows, MAKER, AT)
    city.desk(subsidies.approve, facts, sum(one.won for one in rows), CHECKER, AT)


def _rebate(city: Nights, since: date, until: date) -> rebates.Sum:
    facts = city.facts()
    found = city.desk(rebates.propose, facts, since, until, MAKER, AT)
    if found.dates:
        city.desk(rebates.approve, facts, found.won, CHECKER, AT)
    return found
