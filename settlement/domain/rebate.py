"""Fees given back after a merchant was found to be in a lower class (DOMAIN rule 10)."""

from switch.domain.fees import fee


def rebate(net: int, charged_ppm: int, due_ppm: int, vat_ppm: int) -> tuple[int, int]:
    """What was taken too much on one date's net (won): of the fee, and of its tax.

    Each is the difference of two floors, so that the rebate and the lower fee make up what was charged. Of a
    negative net both are negative or 0: less fee is given back at the lower rate. Raises ValueError unless
    due_ppm < charged_ppm.
    """
    if not 0 <= due_ppm < charged_ppm:
        raise ValueError(f"a rebate is from a rate to a lower one, not from {charged_ppm} to {due_ppm} ppm")
    charged, due = fee(net, charged_ppm), fee(net, due_ppm)
    return charged - due, fee(charged, vat_ppm) - fee(due, vat_ppm)
