"""Imports of members and of their cards."""

from pathlib import Path

import msgspec
from sqlalchemy import Connection, Engine

from switch.domain.payment import bucket_of
from switch.domain.toml_reader import nearest
from switch.domain.wallet import Holder
from switch.service import import_rows as rows_of
from switch.service.import_books import Books, ImportReport, refuse_twice, report
from switch.service.import_files import Problems, Progress, no_progress, read_rows
from switch.service.import_rows import HOLDERS, CardRow, MemberRow
from switch.service.vault import Vault, card_row_id
from switch.service.vault_rotation import refuse_old_keys
from switch.store import cards as card_store
from switch.store.bulk import bump_epoch, lock_administration
from switch.store.cards import CardAt, MemberAt, NewCard, NewMember
from switch.store.hotlist import CardMark, note_cards
from switch.store.reference_write import ProgrammeAt
from switch.wire.redact import luhn_valid, mask_pan

_STATE_ORDER = {"active": 0, "blocked": 1, "lost": 2, "stolen": 2}


def import_members(engine: Engine, path: Path, progress: Progress = no_progress) -> ImportReport:
    """Import members; a new one gets a wallet. `points_on` and tags may change, a person stays a person: what
    payments were judged by would change with it. Raises ImportRefusedError."""
    problems = Problems(path.name)
    rows = [MemberRow(*row) for row in read_rows(path, rows_of.MEMBERS, problems, progress)]
    refuse_twice(problems, "member_id", ((row.line, (row.programme, row.member_id)) for row in rows))
    problems.raise_any()
    with engine.begin() as connection:
        lock_administration(connection)
        books = Books(connection, problems)
        known = books.members(rows)
        wallet_id = card_store.next_wallet_id(connection)
        new: list[NewMember] = []
        changed: list[MemberAt] = []
        for row in rows:
            programme = books.programme(row.line, row.programme)
            if programme is None or _is_card_number(problems, row.line, row.member_id, programme):
                continue
            member = known.get((row.programme, row.member_id))
            tags = _tag_bits(problems, row, programme)
            if member is None:
                holder = Holder.COMPANY if row.holder == "company" else Holder.PERSON
                at = (bucket_of(wallet_id), wallet_id)
                new.append(
                    NewMember(programme.programme_no, row.member_id, *at, row.points_on, tags or 0, holder)
                )
                wallet_id += 1
                continue
            _check_holder(problems, row, member)
            after = msgspec.structs.replace(
                member, points_on=row.points_on, tags=member.tags if tags is None else tags
            )
            if after != member:
                changed.append(after)
        problems.raise_any()
        progress("writing", 0, len(new) + len(changed))
        card_store.add_members(connection, new)
        card_store.change_members(connection, changed)
    return report("members", path, len(rows), len(new), len(changed))


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


def import_cards(engine: Engine, path: Path, vault: Vault, progress: Progress = no_progress) -> ImportReport:
    """Import cards of known members; numbers are sealed before they leave this process.

    Expiry, PVV and form may change; a state in the file may block a card or report it lost, never free it
    (that is an operator's act, or the file of last week would undo it). Raises ImportRefusedError.
    """
    problems = Problems(path.name)
    rows = [CardRow(*row) for row in read_rows(path, rows_of.CARDS, problems, progress)]
    for row in rows:
        if bool(row.pvki) != bool(row.pvv):
            problems.add(row.line, "pvv", "pvki and pvv go together", "fill in both or neither")
    refuse_twice(problems, "pan", ((row.line, row.pan) for row in rows))
    problems.raise_any()
    keyed = [(row, vault.pan_hmac(row.pan)) for row in rows]
    with engine.begin() as connection:
        lock_administration(connection)
        refuse_old_keys(connection, vault)
        books = Books(connection, problems)
        members = books.members(rows)
        known = _known(connection, keyed, vault)
        placed: list[tuple[CardRow, bytes, MemberAt]] = []
        changed: list[CardAt] = []
        for row, key in keyed:
            member = books.member(row, members)
            if member is None or not _belongs(
                problems, row, books.programmes[row.programme], member, known.get(key)
            ):
                continue
            card = known.get(key)
            if card is None:
                placed.append((row, key, member))
            elif (changes := _changed_card(row, card)) is not None:
                changed.append(changes)
        problems.raise_any()
        new = _sealed(placed, vault, card_store.last_card_numbers(connection, _wallets(placed)), progress)
        progress("writing", 0, len(new) + len(changed))
        card_store.add_cards(connection, new, [vault.older_hmacs(row.pan) for row, _, _ in placed])
        card_store.change_cards(connection, changed)
        marks = [_hot_mark(card) for card in new if card.state != "active"]
        note_cards(connection, marks + [_hot_mark(card) for card in changed])
        if changed:
            bump_epoch(connection)  # switches keep in memory what a PIN is checked against
    return report("cards", path, len(rows), len(new), len(changed))


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
    progress: Progress,
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
        if not len(new) % 5_000:
            progress("sealing", len(new), len(placed))
    return new


def _is_card_number(problems: Problems, line: int, member_id: str, programme: ProgrammeAt) -> bool:
    """Columns do get mixed up; a card number must not be stored in the clear for it."""
    numeric = member_id.isdecimal() and 13 <= len(member_id) <= 19
    if numeric and member_id.startswith(programme.programme.bins) and luhn_valid(member_id):
        problems.add(line, "member_id", "is a card number", "check the order of the columns")
        return True
    return False
