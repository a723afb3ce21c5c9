"""Which stored payment a message means (PROTOCOL case 6): never a guess.

DE90 in full names one payment: terminal, STAN, DE7. Where the STAN or DE7 are missing, what else is given
must agree - RRN, terminal, merchant, amount, day - and exactly one payment may be left.
"""

from collections.abc import Iterable

from switch.domain.calendar import date_of_day
from switch.domain.payment import POSTED, Kind
from switch.domain.request import OriginalRef, Request, Stored

TAKES_BACK = frozenset({Kind.REFUND, Kind.REVERSAL, Kind.VOID})
"""Kinds that are judged by the terms of the payment that they take back, not by their own day's."""


def candidates(ref: OriginalRef, originals: Iterable[Stored]) -> list[Stored]:
    """Every stored payment that the reference may mean; more than one only where it is incomplete."""
    return [stored for stored in originals if _fits(ref, stored)]


def match(request: Request, originals: Iterable[Stored]) -> Stored | None:
    """The one stored payment that a message means; None for none and for several."""
    if request.original is None:
        return None
    found = candidates(request.original, originals)
    return found[0] if len(found) == 1 else None


def _fits(ref: OriginalRef, stored: Stored) -> bool:
    key = stored.key
    if key.kind not in ref.kinds or key.terminal_id != ref.terminal_id:
        return False
    if ref.stan and key.stan != ref.stan:
        return False
    if ref.transmission and stored.transmission != ref.transmission:
        return False
    if ref.stan and ref.transmission:
        return True
    return (
        ref.rrn in ("", stored.rrn)
        and ref.merchant_no in (0, stored.merchant_no)
        and ref.amount in (0, stored.amount, stored.approved)
        and (key.local_day == ref.day if ref.day_exact else _near(key.local_day, ref.day))
    )


def _near(one: int, other: int) -> bool:
    return abs(date_of_day(one).toordinal() - date_of_day(other).toordinal()) <= 1


def base_seq(preauth: Stored) -> int:
    """The posting number of the first 0100: an increment names it, and the hold bears it."""
    return preauth.original_seq or preauth.seq


def base_of(preauth: Stored, originals: Iterable[Stored]) -> Stored | None:
    """The first 0100 behind a 0100; None where it was not loaded."""
    if not preauth.original_seq:
        return preauth
    return by_seq(preauth.original_seq, originals)


def by_seq(seq: int, originals: Iterable[Stored]) -> Stored | None:
    """The payment with this posting number."""
    return next((stored for stored in originals if stored.seq == seq), None)


def completion_of(seq: int, originals: Iterable[Stored]) -> Stored | None:
    """The purchase that completed the pre-authorisation with this posting number, if one was booked."""
    return next(
        (
            stored
            for stored in originals
            if stored.original_seq == seq and stored.key.kind == Kind.PURCHASE and stored.outcome in POSTED
        ),
        None,
    )


def judged_by(request: Request, originals: list[Stored]) -> Stored | None:
    """The payment whose terms judge a message that takes money back; None: its own day's do.

    What takes back a pre-authorisation that was completed takes back the completion.
    """
    if request.key.kind not in TAKES_BACK:
        return None
    found = match(request, originals)
    if found is None or found.key.kind != Kind.PREAUTH:
        return found
    return completion_of(base_seq(found), originals) or found
