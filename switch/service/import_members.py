"""Imports of members and of their cards.

A city's file has a million rows, so it is read twice: once to find every fault that it shows by itself, and
once to write it, some thousand rows at a time in one transaction.
"""

from pathlib import Path

import msgspec
from sqlalchemy import Connection, Engine

from switch.domain.payment import bucket_of
from switch.domain.toml_reader import nearest
from switch.domain.wallet import Holder
from switch.service import import_rows as rows_of
from switch.service.import_books import Books, ImportReport, refuse_twice, report
from switch.service.import_files import Problems, Progress, each_row, no_progress
from switch.service.import_rows import HOLDERS, CardRow, MemberRow
from switch.service.vault import Vault, card_row_id
from switch.service.vault_rotation import refuse_old_keys
from switch.store import cards as card_store
from switch.store.bulk import bump_epoch, chunks, lock_administration
from switch.store.cards import CardAt, MemberAt, NewCard, NewMember
from switch.store.hotlist import CardMark, note_cards
from switch.store.reference_write import ProgrammeAt
from switch.wire.redact import luhn_valid, mask_pan

ROWS_AT_A_TIME = 10_000
_STATE_ORDER = {"active": 0, "blocked": 1, "lost": 2, "stolen": 2}


class _Members:
    """The members of one file as they go in: what is new at once, what changes at the end."""

    def __init__(self, connection: Connection, problems: Problems) -> None:
        self.rows = self.new = 0
        self.changed: list[MemberAt] = []
        self._connection = connection
        self._problems = problems
        self._books = Books(connection, problems)
        self._wallet_id = card_store.next_wallet_id(connection)

    def take(self, rows: list[MemberRow]) -> None:
        """Add the new members among the rows, unless the file has shown a fault."""
        self.rows += len(rows)
        known = self._books.members(rows)
        new: list[NewMember] = []
        for row in rows:
            programme = self._books.programme(row.line, row.programme)
            if programme is None or _is_card_number(self._problems, row.line, row.member_id, programme):
                continue
            tags = _tag_bits(self._problems, row, programme)
            member = known.get((row.programme, row.member_id))
            if member is None:
                new.append(self._placed(row, programme.programme_no, tags or 0))
                continue
            _check_holder(self._problems, row, member)
            after = msgspec.structs.replace(
                member, points_on=row.points_on, tags=member.tags if tags is None else tags
            )
            if after != member:
                self.changed.append(after)
        if not self._problems.count:
            card_store.add_members(self._connection, new)
            self.new += len(new)

    def _placed(self, row: MemberRow, programme_no: int, tags: int) -> NewMember:
        holder = Holder.COMPANY if row.holder == "company" else Holder.PERSON
        at = (bucket_of(self._wallet_id), self._wallet_id)
        self._wallet_id += 1
        return NewMember(programme_no, row.member_id, *at, row.points_on, tags, holder)


def import_members(engine: Engine, path: Path, progress: Progress = no_progress) -> ImportReport:
    """Import members; a new one gets a wallet. `points_on` and tags may change, a person stays a person: what
    payments were judged by would change with it. Raises ImportRefusedError."""
    problems = Problems(path.name)
    checked = each_row(path, rows_of.MEMBERS, problems, progress)
    refuse_twice(problems, "member_id", ((row[0], f"{row[2]} {row[1]}") for row in checked))
    problems.raise_any()
    with engine.begin() as connection:
        lock_administration(connection)
        members = _Members(connection, problems)
        for chunk in chunks(each_row(path, rows_of.MEMBERS, problems), ROWS_AT_A_TIME):
            members.take([MemberRow(*row) for row in chunk])
            progress("writing", members.rows, 0)
        problems.raise_any()
        card_store.change_members(
            connection, members.changed
        )  # sorted: their wallets are locked till the end
    return report("members", path, members.rows, members.new, len(members.changed))


def _tag_bits(problems: Problems, row: MemberRow, programme: ProgrammeAt) -> int | None:
    """The row's tags as bits; None where the file leaves them open."""
    if row.tags is None:
        return None
    known = programme.programme.member_tags
    bits = 0
    for tag in row.tags:
        if tag in known:
            bits |= 1 << known.index(tag)
        else:
            fix = nearest(tag, known) if known else "name it in the programme file: member_tags"
            problems.add(row.line, "tags", f'{row.programme} has no member tag "{tag}"', fix)
    return bits


def _check_holder(problems: Problems, row: MemberRow, member: MemberAt) -> None:
    stands = HOLDERS[member.holder - 1]
    if row.holder not in (None, stands):
        fix = f"give the {row.holder} a member_id of its own"
        problems.add(row.line, "holder", f"the wallet is a {stands}'s", fix)


class _Cards:
    """The cards of one file as they go in: what is new at once, what changes at the end."""

    def __init__(self, connection: Connection, problems: Problems, vault: Vault) -> None:
        self.rows = self.new = 0
        self.changed: list[CardAt] = []
        self.marks: list[CardMark] = []
        self._connection = connection
        self._problems = problems
        self._vault = vault
        self._books = Books(connection, problems)

    def take(self, rows: list[CardRow]) -> None:
        """Seal and add the new cards among the rows, unless the file has shown a fault."""
        self.rows += len(rows)
        keyed = [(row, self._vault.pan_hmac(row.pan)) for row in rows]
        members = self._books.members(rows)
        known = _known(self._connection, keyed, self._vault)
        placed: list[tuple[CardRow, bytes, MemberAt]] = []
        for row, key in keyed:
            member = self._books.member(row, members)
            card = known.get(key)
            if member is None or not _belongs(
                self._problems, row, self._books.programmes[row.programme], member, card
            ):
                continue
            if card is None:
                placed.append((row, key, member))
            elif (changes := _changed_card(row, card)) is not None:
                self.changed.append(changes)
        if not self._problems.count:
            self._add(placed)

    def _add(self, placed: list[tuple[CardRow, bytes, MemberAt]]) -> None:
        new = _sealed(placed, self._vault, card_store.last_card_numbers(self._connection, _wallets(placed)))
        card_store.add_cards(
            self._connection, new, [self._vault.older_hmacs(row.pan) for row, _, _ in placed]
        )
        self.marks += [_hot_mark(card) for card in new if card.state != "active"]
        self.new += len(new)


def import_cards(engine: Engine, path: Path, vault: Vault, progress: Progress = no_progress) -> ImportReport:
    """Import cards of known members; numbers are sealed before they leave this process.

    Expiry, PVV and form may change; a state in the file may block a card or report it lost, never free it
    (that is an operator's act, or the file of last week would undo it). Raises ImportRefusedError.
    """
    problems = Problems(path.name)
    checked = (CardRow(*row) for row in each_row(path, rows_of.CARDS, problems, progress))
    refuse_twice(problems, "pan", ((row.line, _number(problems, row)) for row in checked))
    problems.raise_any()
    with engine.begin() as connection:
        lock_administration(connection)
        refuse_old_keys(connection, vault)
        cards = _Cards(connection, problems, vault)
        for chunk in chunks(each_row(path, rows_of.CARDS, problems), ROWS_AT_A_TIME):
            cards.take([CardRow(*row) for row in chunk])
            progress("writing", cards.rows, 0)
        problems.raise_any()
        card_store.change_cards(connection, cards.changed)  # sorted: their wallets are locked till the end
        note_cards(connection, cards.marks + [_hot_mark(card) for card in cards.changed])
        if cards.changed:
            bump_epoch(connection)  # switches keep in memory what a PIN is checked against
    return report("cards", path, cards.rows, cards.new, len(cards.changed))


def _number(problems: Problems, row: CardRow) -> int:
    """The card number as a number, which takes half the room of its text; a 1 before it keeps its length."""
    if bool(row.pvki) != bool(row.pvv):
        problems.add(row.line, "pvv", "pvki and pvv go together", "fill in both or neither")
    return int(f"1{row.pan}")


def _hot_mark(card: NewCard | CardAt) -> CardMark:
    return CardMark(card.bucket, card.wallet_id, card.card_no, card.state != "active", card.state)


def _known(connection: Connection, keyed: list[tuple[CardRow, bytes]], vault: Vault) -> dict[bytes, CardAt]:
    """The cards that are known, by the newest HMAC of their number, whichever they are found by."""
    known = card_store.find_cards(connection, (key for _, key in keyed))
    older = {old: key for row, key in keyed if key not in known for old in vault.older_hmacs(row.pan)}
    found = card_store.find_cards(connection, older)
    return known | {older[old]: card for old, card in found.items()}


def _wallets(placed: list[tuple[CardRow, bytes, MemberAt]]) -> list[tuple[int, int]]:
    return sorted({(member.bucket, member.wallet_id) for _, _, member in placed})


def _belongs(
    problems: Problems, row: CardRow, programme: ProgrammeAt, member: MemberAt, card: CardAt | None
) -> bool:
    bins = programme.programme.bins
    if not row.pan.startswith(bins):
        problems.add(
            row.line,
            "pan",
            f"{mask_pan(row.pan)} is outside the card ranges of {row.programme}",
            f"use a card that starts with {' or '.join(bins)}, or add its range to the programme",
        )
        return False
    if card is not None and (card.bucket, card.wallet_id) != (member.bucket, member.wallet_id):
        problems.add(
            row.line,
            "pan",
            f"{mask_pan(row.pan)} belongs to another member",
            "correct the member or the card",
        )
        return False
    return True


def _changed_card(row: CardRow, card: CardAt) -> CardAt | None:
    state = card.state
    if row.state is not None and _STATE_ORDER[row.state] > _STATE_ORDER[state]:
        state = row.state
    form = row.form or card.form
    after = msgspec.structs.replace(
        card, expiry=row.expiry, pvki=row.pvki, pvv=row.pvv, state=state, form=form
    )
    return None if after == card else after


def _sealed(
    placed: list[tuple[CardRow, bytes, MemberAt]],
    vault: Vault,
    last: dict[tuple[int, int], int],
) -> list[NewCard]:
    new: list[NewCard] = []
    for row, key, member in placed:
        at = (member.bucket, member.wallet_id)
        number = last[at] = last.get(at, 0) + 1
        version, box = vault.seal(row.pan, card_row_id(*at, number))
        new.append(
            NewCard(
                *(*at, number, key, box, version, mask_pan(row.pan)),
                *(row.expiry, row.state or "active", row.pvki, row.pvv, row.form or "card"),
            )
        )
    return new


def _is_card_number(problems: Problems, line: int, member_id: str, programme: ProgrammeAt) -> bool:
    """Columns do get mixed up; a card number must not be stored in the clear for it."""
    numeric = member_id.isdecimal() and 13 <= len(member_id) <= 19
    if numeric and member_id.startswith(programme.programme.bins) and luhn_valid(member_id):
        problems.add(line, "member_id", "is a card number", "check the order of the columns")
        return True
    return False
