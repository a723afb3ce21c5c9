"""A merchant's net told line by line: each amount with what it was made from. The lines add up."""

import msgspec

from settlement.domain.netting import Held, Net
from switch.domain.money import PPM

HELD_BECAUSE: dict[str, str] = {
    Held.NOT: "",
    Held.HOLD: "payouts are held",
    Held.ACCOUNT: "no bank account",
    Held.SMALL: "less than one unit of payouts",
}


class StatementLine(msgspec.Struct, frozen=True):
    """One line: its name (a column of merchant_net), won with its sign for the merchant, and why."""

    name: str
    won: int
    about: str = ""


def percent(ppm: int) -> str:
    """A rate as people write it: 1500 is 0.15 %."""
    whole, part = divmod(ppm, PPM // 100)
    return f"{whole}.{part:04d}".rstrip("0").rstrip(".") + " %"


def lines(net: Net, vat_ppm: int) -> list[StatementLine]:
    """The lines that are not 0, in their order; their sum is what was paid and what is carried on."""
    day = net.sales - net.refunds
    found = (
        StatementLine("sales", net.sales),
        StatementLine("refunds", -net.refunds),
        StatementLine("fee", -net.fee, f"{percent(net.fee_rate_ppm)} of {day:,}"),
        StatementLine("vat", -net.vat, f"{percent(vat_ppm)} of the fee"),
        StatementLine("rebate", net.rebate, "fees of earlier dates, by a lower class"),
        StatementLine("rebate_vat", net.rebate_vat, "tax on those fees"),
        StatementLine("subsidy", net.subsidy),
        StatementLine("released", net.released, "had been kept back"),
        StatementLine("carried_in", net.carried_in, "from the run before"),
        StatementLine("reserved", -net.reserved, f"kept back, {net.reserve:,} in all"),
        StatementLine("rounding", -net.rounding, "payouts are in whole units"),
    )
    return [line for line in found if line.won]


def outcome(net: Net) -> list[StatementLine]:
    """What became of the sum of the lines: paid, or carried on and why."""
    why = HELD_BECAUSE[net.held] if net.carried_out > 0 else "is owed, and set off against what comes"
    found = (StatementLine("paid", net.paid), StatementLine("carried_out", net.carried_out, why))
    return [line for line in found if line.won]
