"""Whatever the order of the bank's answers, how often they come, where the program dies: the same books."""

import contextlib
import itertools
import random
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from settlement.errors import ExitCode
from settlement.frame import Silent
from settlement.settings import Settings
from settlement.steps import acknowledge, reconcile
from settlement.steps.inbox import take
from tests.integration.settlement.books import Books
from tests.integration.settlement.conftest import Server
from tests.integration.settlement.sent import Sent, balances, frame_of, message, name, put, states
from tests.support.bank_messages import camt053, camt054, details, ntry, pacs004, pain002, statement

NOW = "2026-11-26T21:00:00+09:00"
_NUMBERS = itertools.count(1)


class Payout(NamedTuple):
    """One payment and what the bank does with it."""

    won: int
    file_no: int
    fate: str  # booked | silent (booked without an answer) | rejected | returned | announced (and returned)


_payout = st.builds(
    Payout,
    st.integers(1, 9_999),
    st.integers(1, 2),
    st.sampled_from(["booked", "silent", "rejected", "returned", "announced"]),
)


class Died(Exception):
    pass


class Mortal(Silent):
    """Dies at some points, each once."""

    def __init__(self, points: Sequence[int]) -> None:
        self._left = set(points)
        self._count = 0

    def reached(self, point: str) -> None:
        self._count += 1
        if self._count in self._left:
            raise Died(point)


def _documents(payouts: Sequence[Payout], *, as_batch: bool) -> list[bytes]:
    """All that the bank writes about the payments: reports, statements of two days, announcements."""
    named = {name(merchant): one for merchant, one in enumerate(payouts, 1)}
    found: list[bytes] = []
    for file_no in sorted({one.file_no for one in payouts}):
        own = {each: one for each, one in named.items() if one.file_no == file_no}
        for index, (each, one) in enumerate(own.items()):
            if one.fate == "silent":
                continue
            word = (each, "RJCT", "AC04") if one.fate == "rejected" else (each, "ACSC")
            found.append(
                pain002(message(file_no), message_id=f"P{file_no}-{index}", group="PART", payments=[word])
            )
    out = {each: one for each, one in named.items() if one.fate != "rejected"}
    back = {each: one for each, one in out.items() if one.fate in ("returned", "announced")}
    first: list[str] = []
    for file_no in sorted({one.file_no for one in out.values()}):
        own = {each: one for each, one in out.items() if one.file_no == file_no}
        if as_batch:
            first.append(ntry(-sum(one.won for one in own.values()), batch=f"{message(file_no)}-B1"))
        else:
            first += [ntry(-one.won, details(end_to_end_id=each)) for each, one in own.items()]
    second = [
        ntry(one.won, details(end_to_end_id=each, return_reason="AC06"), on=date(2026, 11, 25))
        for each, one in back.items()
    ]
    opening = 100_000
    middle = opening - sum(one.won for one in out.values())
    closing = middle + sum(one.won for one in back.values())
    collected = ntry(opening, details(remittance="TOPUP-20261120"))
    found.append(camt053(statement("S1", 0, middle, [*first, collected], sequence=2), message_id="M1"))
    last = statement("S2", middle, closing, second, sequence=3, on=date(2026, 11, 25))
    found.append(camt053(last, message_id="M2"))
    for each, one in back.items():
        if one.fate == "announced":
            notice = ntry(one.won, details(end_to_end_id=each, return_reason="AC06"))
            found.append(camt054(notice, message_id=f"N{each[-6:]}"))
            found.append(pacs004([(each, one.won, "AC06")], message_id=f"R{each[-6:]}"))
    return found


def _again(document: bytes, number: int) -> bytes:
    """The same message as the bank sends it again, under an identity of its own."""
    return document.replace(b"</MsgId>", f"-{number}</MsgId>".encode(), 1)


def _expected(payouts: Sequence[Payout]) -> tuple[dict[str, str], dict[str, int]]:
    fates = {"silent": "booked", "announced": "returned"}
    ends = {name(merchant): fates.get(one.fate, one.fate) for merchant, one in enumerate(payouts, 1)}
    out = sum(one.won for one in payouts if one.fate != "rejected")
    back = sum(one.won for one in payouts if one.fate in ("returned", "announced"))
    books = {"SAFEGUARDED": back - out, "MERCHANT_PAYABLE": out, "PAYOUT_RETURNED": -back}
    return ends, {account: won for account, won in books.items() if won}


def _setting(server: Server, database: str, folder: Path) -> Settings:
    folder.mkdir()
    (folder / "clock").write_text(NOW)
    return Settings.model_validate(
        {
            "database": {"url": server.address(database)},
            "clock": {"mode": "simulated", "file": str(folder / "clock")},
            "files": {"outbox": str(folder / "out")},
            "originator": {"seoro": {"name": "서구", "account": "1005000000017", "bank": "020"}},
        }
    )


def _books(owner: Engine, payouts: Sequence[Payout]) -> None:
    books = Books(owner)
    books.wallet(7, date(2026, 11, 20), 100_000)
    sent = Sent(owner)
    for merchant in range(1, len(payouts) + 1):
        books.merchant(merchant)
    for file_no in sorted({one.file_no for one in payouts}):
        sent.file(
            file_no, {merchant: one.won for merchant, one in enumerate(payouts, 1) if one.file_no == file_no}
        )


@settings(
    max_examples=8,
    deadline=None,
    print_blob=True,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # each example is a database of its own
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    payouts=st.lists(_payout, min_size=1, max_size=6),
    as_batch=st.booleans(),
    seed=st.integers(0, 2**32),
    deaths=st.lists(st.integers(1, 60), max_size=4),
)
def test_any_order_any_repetition_any_death(
    server: Server, tmp_path: Path, payouts: list[Payout], as_batch: bool, seed: int, deaths: list[int]
) -> None:
    database = server.clone(server.template)
    owner, engine = server.engine(database, "postgres"), server.engine(database)
    setting = _setting(server, database, tmp_path / f"e{next(_NUMBERS)}")
    _books(owner, payouts)
    chance = random.Random(seed)
    documents = _documents(payouts, as_batch=as_batch)
    again = [_again(one, number) for number, one in enumerate(chance.sample(documents, len(documents) // 2))]
    same = chance.sample(documents, len(documents) // 3)
    posted = [*documents, *again, *same]
    chance.shuffle(posted)
    mortal = Mortal(deaths)
    frame = frame_of(engine, setting, observer=mortal)
    try:
        # With an account's first statement its history begins: this one is there before all others.
        frame.observer = Silent()
        put(setting, "first.xml", camt053(statement("S0", 0, 0, sequence=1, on=date(2026, 11, 20))))
        assert take(frame).code is ExitCode.DONE
        frame.observer = mortal
        for number, document in enumerate(posted):
            put(setting, f"{number:03d}.xml", document)
            if chance.random() < 0.4:
                with contextlib.suppress(Died):
                    take(frame)
                frame.connection.rollback()
        for _ in range(len(deaths) + 1):
            with contextlib.suppress(Died):
                take(frame)
            frame.connection.rollback()
        frame.observer = Silent()
        last = take(frame)
        assert last.code is ExitCode.DONE, last
        ends, books = _expected(payouts)
        assert states(engine) == ends
        assert balances(engine) == books
        assert acknowledge.run(frame).waits == ""
        paid_again = {"rejected", "returned"} & set(ends.values())
        assert (reconcile.run(frame).waits == "") is not bool(paid_again)
        assert sorted(path.name for path in setting.files.inbox.iterdir()) in ([], ["refused"])
    finally:
        frame.connection.close()
        engine.dispose()
        owner.dispose()
