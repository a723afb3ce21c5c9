"""A terminal's batch on the wire: its close (0500), its details (0320), and their answers."""

from collections.abc import Mapping
from typing import Final

import msgspec

from switch.domain.terminal_batch import Totals
from switch.wire.elements import OriginalData, original_of, private_of, refusal
from switch.wire.message import Message
from switch.wire.private import TAG_BATCH, TAG_KEY_SERIAL, TAG_LAST
from switch.wire.reply import reply_fields
from switch.wire.spec import PROCESSING_CODES

IN_BALANCE: Final = "1"
OUT_OF_BALANCE: Final = "2"
_DETAIL_FAMILIES: Final = frozenset({"020", "022"})
_DETAIL_KINDS: Final = frozenset({"purchase", "refund", "void"})


class BatchClose(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """0500, 0501: what the terminal counted in its batch."""

    repeat: bool
    stan: int
    transmission: str
    local_time: int
    local_mmdd: int
    rrn: str | None
    terminal_id: str
    merchant_id: str
    batch_no: int
    totals: Totals
    ksn: str | None = None

    def __repr__(self) -> str:
        return f"BatchClose({self.batch_no}, terminal={self.terminal_id!r}, {self.totals!r})"


class BatchDetail(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """0320, 0321: one payment, refund or void of a batch as the terminal has it.

    `original` names that message. `amount` is what stands of it after reversals, won. Local time and date
    are its own; `stan` and `transmission` are the detail's.
    """

    kind: str
    processing: str
    repeat: bool
    amount: int
    stan: int
    transmission: str
    local_time: int
    local_mmdd: int
    rrn: str | None
    approval: str | None
    terminal_id: str
    merchant_id: str
    original: OriginalData
    batch_no: int
    last: bool
    ksn: str | None = None

    def __repr__(self) -> str:
        return (
            f"BatchDetail({self.batch_no}, {self.kind}, {self.amount} won, terminal={self.terminal_id!r}, "
            f"original={self.original.stan:06d}/{self.original.transmission})"
        )


def parse_close(message: Message) -> BatchClose:
    """The typed view of a 0500. Raises MessageError: 48 no batch number, 97 not what 86 to 89 come to."""
    fields = message.fields
    private = private_of(message)
    totals = read_totals(fields)
    net = int(fields[97][1:])
    if (net if fields[97][0] == "C" else -net) != totals.net:
        raise refusal("not the credits less the debits of fields 86 to 89", 97, message)
    return BatchClose(
        repeat=message.mti[3] == "1",
        stan=int(fields[11]),
        transmission=fields[7],
        local_time=int(fields[12]),
        local_mmdd=int(fields[13]),
        rrn=fields.get(37),
        terminal_id=fields[41],
        merchant_id=fields[42].rstrip(" "),
        batch_no=_batch_no(message, private),
        totals=totals,
        ksn=private.get(TAG_KEY_SERIAL),
    )


def parse_detail(message: Message) -> BatchDetail:
    """The typed view of a 0320. Raises MessageError naming the field."""
    fields = message.fields
    private = private_of(message)
    original = original_of(message, _DETAIL_FAMILIES)
    kind = PROCESSING_CODES[fields[3]]
    if kind not in _DETAIL_KINDS:
        raise refusal("no batch counts this kind of payment", 3, message)
    if not original.family or not original.stan or not int(original.transmission):
        raise refusal("a detail names its payment by MTI, STAN and time", 90, message)
    return BatchDetail(
        kind=kind,
        processing=fields[3],
        repeat=message.mti[3] == "1",
        amount=int(fields[4]),
        stan=int(fields[11]),
        transmission=fields[7],
        local_time=int(fields[12]),
        local_mmdd=int(fields[13]),
        rrn=fields.get(37),
        approval=fields.get(38),
        terminal_id=fields[41],
        merchant_id=fields[42].rstrip(" "),
        original=original,
        batch_no=_batch_no(message, private),
        last=TAG_LAST in private,
        ksn=private.get(TAG_KEY_SERIAL),
    )


def _batch_no(message: Message, private: Mapping[str, str]) -> int:
    if TAG_BATCH not in private:
        raise refusal(f"without {TAG_BATCH}, the number of the batch", 48, message)
    return int(private[TAG_BATCH])


def read_totals(fields: dict[int, str]) -> Totals:
    """DE74 to 77 and 86 to 89; what is not there counts as nothing."""
    number = [int(fields.get(field, "0")) for field in (*range(74, 78), *range(86, 90))]
    return Totals(
        credits=number[0],
        credits_reversed=number[1],
        debits=number[2],
        debits_reversed=number[3],
        credit_won=number[4],
        credit_reversed_won=number[5],
        debit_won=number[6],
        debit_reversed_won=number[7],
    )


def total_fields(totals: Totals) -> dict[int, str]:
    """DE74 to 77, 86 to 89 and 97 of these totals."""
    counts = (totals.credits, totals.credits_reversed, totals.debits, totals.debits_reversed)
    sums = (
        totals.credit_won,
        totals.credit_reversed_won,
        totals.debit_won,
        totals.debit_reversed_won,
    )
    fields = {74 + place: f"{count:010d}" for place, count in enumerate(counts)}
    fields |= {86 + place: f"{won:016d}" for place, won in enumerate(sums)}
    fields[97] = f"{'D' if totals.net < 0 else 'C'}{abs(totals.net):016d}"
    return fields


def close_reply(
    message: Message, *, code: str, host: Totals, in_balance: bool, business_mmdd: str
) -> dict[int, str]:
    """The fields that answer a 0500: DE39, DE66, and the totals as the host has them."""
    fields = reply_fields(message, code=code, business_mmdd=business_mmdd)
    return fields | total_fields(host) | {66: IN_BALANCE if in_balance else OUT_OF_BALANCE}
