"""The merchant fee: the class by annual sales, and the fee on a day's net (DOMAIN rule 10)."""

from switch.domain.money import floor_rate
from switch.domain.programme import Policy


def fee(net: int, rate_ppm: int) -> int:
    """Return the fee in won on a merchant's net total of one business date.

    The floor is taken once, on the net. A negative net gives a negative fee: the floor of rate × its size
    is given back to the merchant.
    """
    if net < 0:
        return -floor_rate(-net, rate_ppm)
    return floor_rate(net, rate_ppm)


def fee_rate(policy: Policy, annual_sales: int | None) -> int:
    """Return the rate in ppm for a merchant with these annual sales (won; None = not classed yet).

    Sales at a class's upper end belong to it. Above the last class, and for a shop that has not been
    classed, the policy's default rate holds; what a later classification shows to be too much is
    rebated.
    """
    if annual_sales is not None:
        for fee_class in policy.fee_classes:
            if annual_sales <= fee_class.up_to:
                return fee_class.rate_ppm
    return policy.fee_default_ppm
