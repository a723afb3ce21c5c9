"""A bank that is made of files: it takes orders from a folder, keeps accounts, and leaves its answers there.

    FOLDER/in       orders (pain.001), put there whole or renamed when they are whole
    FOLDER/taken    what it took
    FOLDER/refused  what it could not read, with the reason beside it
    FOLDER/out      answers: pain.002, camt.054, camt.053
    FOLDER/bank     its own books

Time goes by bank days. In the morning it takes what has come and answers it; in the evening it executes
what is due, lets returned payments come back, and writes each account's statement. Every change is one
transaction, every file it leaves has the same bytes when it is left again: its process may be killed
at any moment.
"""

import hashlib
import os
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Final, Self

import msgspec

from terminal_sim import bank_answers as answers
from terminal_sim.bank_evening import Evening
from terminal_sim.bank_order import Batch, Order, Payment, UnreadableError, read
from terminal_sim.bank_post import Happening, Post
from terminal_sim.bank_script import PayeeRule, Script, ScriptError
from terminal_sim.bank_store import Store

IN, OUT, TAKEN, REFUSED, BOOKS = "in", "out", "taken", "refused", "bank"
FILES_MAX: Final = 10_000
_SIDECARS: Final = (".sha256", ".done")
_NOT_YET: Final = (".part", ".tmp", *_SIDECARS)


class Bank:
    """One bank in one folder. Raises ScriptError when the script is another bank's."""

    def __init__(self, folder: Path, script: Script) -> None:
        self.folder = folder
        self.script = script
        for name in (IN, OUT, TAKEN, REFUSED, BOOKS):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self.store = Store(folder / BOOKS / "bank.db")
        self.post = Post(self.store, folder / OUT)
        try:
            self._begin()
        except BaseException:
            self.store.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    @property
    def closed_through(self) -> date:
        """The last day whose evening is over."""
        return date.fromisoformat(self.store.one("SELECT closed_through FROM clock"))

    def balance(self, account: str) -> int:
        """Won of an account: the number of one of its own, or BANK/NUMBER of a payee elsewhere."""
        return int(self.store.one("SELECT balance FROM account WHERE number = ?", account) or 0)

    def morning(self, day: date) -> list[Happening]:
        """Let the days before `day` end, then take what has come and answer it.

        On a day that is over nothing is taken; what a bank that was killed had still to send is sent.
        """
        if day <= self.closed_through:
            about = f"closed through {self.closed_through}: nothing is taken on a day that is over"
            return [*self.post.send(self.closed_through), Happening(day, "over", "", about=about)]
        told = self.evening(day - timedelta(days=1))
        self._moved()
        for path in self._waiting():
            told += self._take(path, day)
        return told + self.post.send(day)

    def evening(self, day: date) -> list[Happening]:
        """Let every day through `day` end: executions, returns, statements, answers that were late."""
        told = self.post.send(self.closed_through)  # what a bank that was killed had still to send
        while self.closed_through < day:
            today = self.closed_through + timedelta(days=1)
            with self.store.change():
                if self.script.is_open(today):
                    told += Evening(self.store, self.post, self.script, today).end()
                self.store.do("UPDATE clock SET closed_through = ?", today.isoformat())
            told += self.post.send(today)
        return told

    def answer(self, message_id: str) -> list[Happening]:
        """Send the answers about a file that were kept back. Raises ScriptError when there is none."""
        day = self.closed_through + timedelta(days=1)
        known = self.store.one("SELECT count(*) FROM outgoing WHERE message_id = ?", message_id)
        if not known:
            raise ScriptError(f"no file with MsgId {message_id} has come to this bank")
        with self.store.change():
            self.store.do(
                "UPDATE outgoing SET due_on = ? WHERE message_id = ? AND NOT published",
                *(day.isoformat(), message_id),
            )
        return self.post.send(day)

    # A file that has come

    def _begin(self) -> None:
        """The books of a new bank, or those that are there; accounts may be added later."""
        with self.store.change():
            code = self.store.one("SELECT code FROM clock")
            if code is None:
                before = self.script.first_day - timedelta(days=1)
                self.store.do("INSERT INTO clock VALUES (?, ?)", before.isoformat(), self.script.code)
            elif code != self.script.code:
                raise ScriptError(f"the books in {self.folder} are of bank {code}, not {self.script.code}")
            self.store.do_all(
                "INSERT OR IGNORE INTO account VALUES (?, ?, 1, ?, ?)",
                [(a.number, a.name, a.opening, a.opening) for a in self.script.account],
            )

    def _waiting(self) -> list[Path]:
        """What has come and is whole, in the order of names."""
        found = sorted((self.folder / IN).iterdir())[:FILES_MAX]
        return [p for p in found if p.is_file() and not p.name.startswith(".") and p.suffix not in _NOT_YET]

    def _take(self, path: Path, day: date) -> list[Happening]:
        data = path.read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        known = self.store.rows(
            "SELECT no, good FROM file WHERE name = ? AND sha256 = ? AND NOT moved", path.name, sha256
        )
        told: list[Happening] = []
        if not known:
            # Otherwise it was taken already, by a bank that was killed before it had moved the file.
            with self.store.change():
                told.append(self._judge(path, data, sha256, day))
            known = self.store.rows("SELECT no, good FROM file ORDER BY no DESC LIMIT 1")
        (number, good) = known[0]
        self._move(path, number, TAKEN if good else REFUSED)
        with self.store.change():
            self.store.do("UPDATE file SET moved = 1 WHERE no = ?", number)
        return told

    def _judge(self, path: Path, data: bytes, sha256: str, day: date) -> Happening:
        number = self.store.next_no("file")
        try:
            _same_bytes(path, sha256)
            order = read(data)
        except UnreadableError as error:
            self._note(number, path.name, sha256, "", day, str(error))
            return Happening(day, "refused", path.name, about=str(error))
        fault = order.fault or self._known(order)
        self._note(number, path.name, sha256, order.message_id, day, "")
        if fault:
            report = self._report(day, order, [], fault)
            self.post.put(day, "pain.002", answers.pain_002(report), day, order.message_id)
            return Happening(day, "refused", path.name, order.count, order.won, answers.REASONS[fault])
        said = [self._keep(number, batch, day) for batch in order.batches]
        self._answer(number, order, said, day)
        refused = sum(batch.refused for batch in said)
        about = f"{order.message_id}: {refused:,} refused" if refused else order.message_id
        return Happening(day, "taken", path.name, order.count, order.won, about)

    def _note(self, number: int, name: str, sha256: str, message_id: str, day: date, about: str) -> None:
        self.store.do(
            "INSERT INTO file VALUES (?, ?, ?, ?, ?, 0, ?, ?)",
            *(number, name, sha256, message_id, day.isoformat(), not about, about),
        )

    def _known(self, order: Order) -> str:
        """The bank's code against a message or batch that came before."""
        if self.store.one("SELECT 1 FROM file WHERE message_id = ?", order.message_id):
            return "DU01"
        names = [batch.payment_information_id for batch in order.batches]
        if len(set(names)) < len(names):
            return "DU02"
        was = (self.store.one("SELECT 1 FROM batch WHERE payment_information_id = ?", n) for n in names)
        return "DU02" if any(was) else ""

    def _keep(self, file_no: int, batch: Batch, day: date) -> answers.SaidBatch:
        """Note a batch's payments: what is refused at once, and when the others are executed."""
        fault = batch.fault or self._debtor_fault(batch)
        batch_no, payment_no = self.store.next_no("batch"), self.store.next_no("payment")
        execute_on = self.script.open_from(max(batch.execute_on, day)).isoformat()
        self.store.do(
            "INSERT INTO batch VALUES (?, ?, ?, ?, ?)",
            *(batch_no, file_no, batch.payment_information_id, batch.debtor_account),
            self.script.booking == "batch" or (self.script.booking == "as_ordered" and batch.booked_as_one),
        )
        rules = self.script.rules()
        said: list[answers.Said] = []
        rows: list[tuple[object, ...]] = []
        for number, payment in enumerate(batch.payments, payment_no):
            rule = rules.get(payment.account) or self.script.by_chance(payment.account)
            code = fault or payment.fault or self._refused(payment, rule)
            said.append(answers.Said(payment.end_to_end_id, payment.won, code))
            if code == "DU04":
                continue
            back = rule if rule is not None and rule.does == "return" else None
            rows.append(
                (
                    *(number, batch_no, payment.end_to_end_id, payment.won, self._payee(payment)),
                    *(payment.account, payment.name, payment.remittance),
                    *("refused" if code else "waiting", code, execute_on),
                    *((back.days, back.announce, back.code) if back else (None, 0, "")),
                )
            )
        self.store.do_all(
            "INSERT INTO payment VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)", rows
        )
        return _said_batch(batch, said, fault, everyone=self.script.report == "all")

    def _debtor_fault(self, batch: Batch) -> str:
        own = {account.number for account in self.script.account}
        return "" if batch.debtor_account in own and batch.debtor_bank == self.script.code else "AC02"

    def _refused(self, payment: Payment, rule: PayeeRule | None) -> str:
        if self.store.one("SELECT 1 FROM payment WHERE end_to_end_id = ?", payment.end_to_end_id):
            return "DU04"
        return rule.code if rule is not None and rule.does == "reject" else ""

    def _payee(self, payment: Payment) -> str:
        """Where the money goes: one of the bank's own accounts, or one elsewhere."""
        own = payment.bank == self.script.code and any(
            account.number == payment.account for account in self.script.account
        )
        return payment.account if own else f"{payment.bank}/{payment.account}"

    def _answer(self, number: int, order: Order, said: Iterable[answers.SaidBatch], day: date) -> None:
        """The pain.002 about a file, sent as the script says."""
        how = self.script.answer_to(number)
        due = {"late": self.script.later(day, how.days), "silent": None}.get(how.answer, day)
        report = self._report(day, order, list(said), "")
        self.post.put(day, "pain.002", answers.pain_002(report), due, order.message_id)
        if how.answer in ("twice", "again"):
            if how.answer == "again":
                report = msgspec.structs.replace(report, message_id=self.post.message_id(day))
            self.post.put(day, "pain.002", answers.pain_002(report), due, order.message_id)

    def _report(self, day: date, order: Order, batches: list[answers.SaidBatch], code: str) -> answers.Report:
        return answers.Report(
            message_id=self.post.message_id(day),
            day=day,
            bank=self.script.code,
            original_id=order.message_id,
            count=order.count,
            won=order.won,
            batches=batches,
            code=code,
        )

    def _move(self, path: Path, number: int, where: str) -> None:
        """Put a file away, after what came with it; with its number ahead if its name is used already."""
        place = self.folder / where
        name = path.name if not (place / path.name).exists() else f"{number:06d}_{path.name}"
        about = self.store.one("SELECT about FROM file WHERE no = ?", number)
        if about:
            (place / f"{name}.reason.txt").write_text(f"{about}\n", "utf-8")
        for suffix in (*_SIDECARS, ""):
            one = path.with_name(path.name + suffix)
            if one.exists():
                os.replace(one, place / f"{name}{suffix}")

    def _moved(self) -> None:
        """Note what was moved by a bank that was killed before it had noted that."""
        for row in self.store.rows("SELECT no, name FROM file WHERE NOT moved"):
            if not (self.folder / IN / row["name"]).exists():
                with self.store.change():
                    self.store.do("UPDATE file SET moved = 1 WHERE no = ?", row["no"])


def _said_batch(batch: Batch, said: list[answers.Said], code: str, *, everyone: bool) -> answers.SaidBatch:
    refused = [one for one in said if one.code]
    return answers.SaidBatch(
        payment_information_id=batch.payment_information_id,
        count=len(said),
        won=sum(one.won for one in said),
        refused=len(refused),
        refused_won=sum(one.won for one in refused),
        payments=said if everyone else refused,
        code=code,
    )


def _same_bytes(path: Path, sha256: str) -> None:
    """Hold a file against the .sha256 that came with it, if one did. Raises UnreadableError."""
    beside = path.with_name(f"{path.name}.sha256")
    if beside.exists() and beside.read_text("ascii", "replace").split()[:1] != [sha256]:
        raise UnreadableError("its bytes are not those that its .sha256 tells")
