"""What a terminal has sent and got back, as values. Nothing here prints card data."""

from typing import Final

import msgspec

from switch.wire.private import TAG_CASHBACK, Balances, decode_balances, decode_private

APPROVED: Final = "00"
APPROVED_PARTLY: Final = "10"  # to terminals that say they can take it; DE4 of the reply is what was approved


class TerminalError(Exception):
    """The terminal cannot do this, or the reply is none. Holds no card data and no key."""


class Reply(msgspec.Struct, frozen=True, gc=False):
    """What came back.

    `mac_ok` is None when the reply had no MAC or the terminal has no key to check it with.
    """

    mti: str
    code: str
    fields: dict[int, str]
    mac_ok: bool | None

    def __repr__(self) -> str:
        return f"Reply({self.mti}, code={self.code}, stan={self.fields.get(11)}, mac_ok={self.mac_ok})"

    @property
    def approved(self) -> bool:
        """Whether the answer is yes, to the whole or (10) to a part of what was asked."""
        return self.code in (APPROVED, APPROVED_PARTLY)

    @property
    def amount(self) -> int | None:
        """Won of DE4; of a partial approval, what was approved."""
        return int(self.fields[4]) if 4 in self.fields else None

    @property
    def approval(self) -> str | None:
        return self.fields.get(38)

    @property
    def rrn(self) -> str | None:
        return self.fields.get(37)

    @property
    def business_mmdd(self) -> str | None:
        return self.fields.get(15)

    @property
    def refused_field(self) -> int | None:
        """The number of the field that a format error is about."""
        text = self.fields.get(44, "")
        return int(text) if text.isdecimal() else None

    @property
    def cashback(self) -> int | None:
        """Won granted by this payment; None when the reply does not say."""
        text = decode_private(self.fields.get(48, "")).get(TAG_CASHBACK)
        return None if text is None else int(text)

    @property
    def balances(self) -> Balances | None:
        return decode_balances(self.fields[54]) if 54 in self.fields else None

    @property
    def in_balance(self) -> bool | None:
        """DE66 of a batch close: 1 in balance, 2 out of balance; None when it does not say."""
        return {"1": True, "2": False}.get(self.fields.get(66, ""))


class Exchange(msgspec.Struct):
    """A line of the journal: a payload sent, and its reply once there is one. Prints without card data."""

    sent: bytes
    key: str
    reply: Reply | None = None

    def __repr__(self) -> str:
        return f"Exchange({self.key}, {self.reply!r})"
