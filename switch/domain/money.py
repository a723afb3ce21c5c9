"""Whole won: rates that floor, and shares that add up to the total.

Money is an integer number of won (ISO 4217 code 410, exponent 0) and a rate is an integer number of
parts per million (1 % = 10,000 ppm), so no fraction of a won and no float can arise.
"""

from collections.abc import Sequence

PPM = 1_000_000
"""One whole, in parts per million."""

WON_MAX = 999_999_999_999
"""The largest amount of one message: ISO 8583:1987 DE4 has twelve digits."""


class AmountError(ValueError):
    """An amount that is no whole number of won inside its range."""


def check_won(won: object, what: str = "amount", *, least: int = 0, most: int = WON_MAX) -> int:
    """Return `won` unchanged if it is an int in least..most (won).

    Raises AmountError, naming `what`; a bool and a float are refused even where they are whole.
    """
    if type(won) is not int:
        raise AmountError(f"{what} must be a whole number of won, not {type(won).__name__}")
    if not least <= won <= most:
        raise AmountError(f"{what} must be {least:,} to {most:,} won, not {won:,}")
    return won


def floor_rate(won: int, rate_ppm: int) -> int:
    """Return the floor of `won` × `rate_ppm`, in won.

    `won` ≥ 0: a negative amount has no agreed direction of rounding here; who needs one decides it
    (see fees.fee). Raises AmountError.
    """
    if won < 0 or rate_ppm < 0:
        raise AmountError(f"a rate applies to 0 won or more, not to {won:,} won at {rate_ppm} ppm")
    return won * rate_ppm // PPM


def largest_remainder(total: int, weights: Sequence[int]) -> list[int]:
    """Divide `total` won (≥ 0) in proportion to `weights` (≥ 0); the parts sum to `total` exactly.

    Every part is floored, then the won left over go one each to the largest remainders; of equal
    remainders the first named gets it (DOMAIN rule 4). A weight of 0 gets nothing. Raises
    AmountError when there is something to divide and nobody to take it.
    """
    if len(weights) == 1 and weights[0] > 0 and total >= 0:
        return [total]
    whole = sum(weights)
    if total < 0 or (weights and min(weights) < 0) or (total and not whole):
        raise AmountError(f"cannot divide {total:,} won by the weights {list(weights)}")
    if not total:
        return [0] * len(weights)
    parts = [total * weight // whole for weight in weights]
    left = total - sum(parts)
    if left:
        remainders = [total * weight % whole for weight in weights]
        # sorted() is stable, so equal remainders stay in the order in which they were named.
        for index in sorted(range(len(parts)), key=remainders.__getitem__, reverse=True)[:left]:
            parts[index] += 1
    return parts
