"""The simulated bank's evening: money from outside, executions, returns, and each account's statement.

All of it is part of one transaction. Nothing is paid that the payer's balance does not cover, and what one
account loses another gains.
"""

from datetime import date
from typing import Any, Final

from terminal_sim import bank_answers as answers
from terminal_sim.bank_post import Happening, Post
from terminal_sim.bank_script import Charge, Credit, Script
from terminal_sim.bank_store import Store

INSUFFICIENT: Final = "AM04"
_DUE: Final = """
SELECT p.*, b.payer, b.as_one, b.file_no, b.payment_information_id, f.message_id
FROM payment p JOIN batch b ON b.no = p.batch_no JOIN file f ON f.no = b.file_no
"""


class Evening:
    """One bank day's end."""

    def __init__(self, store: Store, post: Post, script: Script, day: date) -> None:
        self._store = store
        self._post = post
        self._script = script
        self._day = day
        self._told: list[Happening] = []

    def end(self) -> list[Happening]:
        """Do all of it. Statements go out as they are written."""
        self._outside()
        self._execute()
        self._return()
        for account in self._script.account:
            self._statement(account.number, account.name)
        return self._told

    def _outside(self) -> None:
        """What comes in from outside and what the bank takes for itself, each once."""
        seen: dict[str, int] = {}
        movements: list[Credit | Charge] = [*self._script.credit, *self._script.charge]
        for movement in movements:
            words = movement.remittance if isinstance(movement, Credit) else movement.about
            key = f"{type(movement).__name__}/{movement.account}/{movement.on}/{movement.won}/{words}"
            seen[key] = seen.get(key, 0) + 1
            name = f"{key}/{seen[key]}"
            if movement.on > self._day or self._store.one("SELECT 1 FROM outside WHERE key = ?", name):
                continue
            won = -movement.won if isinstance(movement, Charge) else movement.won
            if self._balance(movement.account) + won < 0:
                continue  # a charge waits until the balance covers it
            self._change(movement.account, won)
            kind = "charge" if won < 0 else "received"
            self._entry(movement.account, won, kind, remittance=words)
            self._store.do("INSERT INTO outside VALUES (?)", name)
            self._told.append(Happening(self._day, kind, movement.account, 1, won, words))

    def _execute(self) -> None:
        due = self._store.rows(
            f"{_DUE} WHERE p.state = 'waiting' AND p.execute_on <= ? ORDER BY p.no",
            self._day.isoformat(),
        )
        batches: dict[int, list[Any]] = {}
        short: dict[int, list[Any]] = {}
        for row in due:
            if self._balance(row["payer"]) < row["won"]:
                self._store.do(
                    "UPDATE payment SET state = 'refused', code = ? WHERE no = ?", INSUFFICIENT, row["no"]
                )
                short.setdefault(row["batch_no"], []).append(row)
                continue
            self._pay(row)
            batches.setdefault(row["batch_no"], []).append(row)
        for paid in batches.values():
            self._book(paid)
            won = sum(row["won"] for row in paid)
            self._told.append(
                Happening(self._day, "executed", paid[0]["message_id"], len(paid), won, paid[0]["payer"])
            )
        for refused in short.values():
            self._tell_short(refused)

    def _pay(self, row: Any) -> None:
        self._change(row["payer"], -row["won"])
        self._change(row["payee"], row["won"], row["name"])
        back = None
        if row["return_after"] is not None:
            back = self._script.later(self._day, row["return_after"]).isoformat()
        self._store.do(
            "UPDATE payment SET state = 'paid', paid_on = ?, return_on = ? WHERE no = ?",
            *(self._day.isoformat(), back, row["no"]),
        )

    def _book(self, paid: list[Any]) -> None:
        """The payer's side of a batch as one entry or single ones; the other side where it is kept here."""
        first = paid[0]
        if first["as_one"]:
            self._entry(
                first["payer"],
                -sum(row["won"] for row in paid),
                "batch",
                payment_information_id=first["payment_information_id"],
                message_id=first["message_id"],
                count=len(paid),
                batch_no=first["batch_no"],
            )
        for row in paid:
            if not first["as_one"]:
                self._entry(row["payer"], -row["won"], "payment", row["end_to_end_id"], row["remittance"])
            if "/" not in row["payee"]:
                self._entry(row["payee"], row["won"], "received", row["end_to_end_id"], row["remittance"])

    def _tell_short(self, refused: list[Any]) -> None:
        """A second pain.002 with all that is refused by now: what was accepted and is not covered, too."""
        first = refused[0]
        facts = self._store.rows(
            "SELECT count(*) AS count, sum(won) AS won FROM payment WHERE batch_no = ?", first["batch_no"]
        )[0]
        gone = self._store.rows(
            "SELECT end_to_end_id, won, code FROM payment WHERE batch_no = ? AND code <> '' ORDER BY no",
            first["batch_no"],
        )
        whole = self._store.rows(
            "SELECT count(*) AS count, sum(p.won) AS won FROM payment p JOIN batch b ON b.no = p.batch_no"
            " WHERE b.file_no = ?",
            first["file_no"],
        )[0]
        batch = answers.SaidBatch(
            payment_information_id=first["payment_information_id"],
            count=facts["count"],
            won=facts["won"],
            refused=len(gone),
            refused_won=sum(row["won"] for row in gone),
            payments=[answers.Said(row["end_to_end_id"], row["won"], row["code"]) for row in gone],
        )
        report = answers.Report(
            message_id=self._post.message_id(self._day),
            day=self._day,
            bank=self._script.code,
            original_id=first["message_id"],
            count=whole["count"],
            won=whole["won"],
            batches=[batch],
        )
        self._post.put(self._day, "pain.002", answers.pain_002(report), self._day, first["message_id"])
        won = sum(row["won"] for row in refused)
        words = answers.REASONS[INSUFFICIENT]
        self._told.append(Happening(self._day, "refused", first["message_id"], len(refused), won, words))

    def _return(self) -> None:
        """Payments that come back today: announced by camt.054 where the script says so."""
        due = self._store.rows(
            f"{_DUE} WHERE p.state = 'paid' AND p.return_on <= ? ORDER BY p.no", self._day.isoformat()
        )
        announced: dict[str, list[answers.Entry]] = {}
        for row in due:
            if self._balance(row["payee"]) < row["won"]:
                continue
            self._change(row["payee"], -row["won"])
            self._change(row["payer"], row["won"])
            self._store.do("UPDATE payment SET state = 'returned' WHERE no = ?", row["no"])
            entry = self._entry(
                *(row["payer"], row["won"], "return", row["end_to_end_id"], row["remittance"]),
                code=row["return_code"],
            )
            if row["announce"]:
                announced.setdefault(row["payer"], []).append(entry)
        for payer, entries in announced.items():
            message = self._post.message_id(self._day)
            content = answers.camt_054(message, self._day, self._account(payer), entries)
            self._post.put(self._day, "camt.054", content, self._day, payer)
        if due:
            won = sum(row["won"] for row in due)
            self._told.append(Happening(self._day, "returned", due[0]["payer"], len(due), won))

    def _statement(self, number: str, name: str) -> None:
        last = self._store.rows(
            "SELECT sequence, closing FROM statement WHERE account = ? ORDER BY sequence DESC LIMIT 1", number
        )
        opening = self._store.one("SELECT opening FROM account WHERE number = ?", number)
        sequence, before = (last[0]["sequence"] + 1, last[0]["closing"]) if last else (1, opening)
        day = self._day.isoformat()
        entries = [
            self._read(row)
            for row in self._store.rows(
                "SELECT * FROM entry WHERE account = ? AND day = ? ORDER BY no", number, day
            )
        ]
        closing = before + sum(entry.won for entry in entries)
        if closing != self._balance(number):
            raise ArithmeticError(f"{name}: the statement of {day} closes at {closing}, the account does not")
        self._store.do("INSERT INTO statement VALUES (?, ?, ?, ?)", number, sequence, day, closing)
        statement = answers.Statement(
            message_id=self._post.message_id(self._day),
            statement_id=f"{number[-20:]}-{self._day:%Y%m%d}",
            sequence=sequence,
            day=self._day,
            account=self._account(number),
            opening=before,
            closing=closing,
            entries=entries,
        )
        content = answers.camt_053(statement)
        twice = any(rule.account == number and rule.on == self._day for rule in self._script.statement_twice)
        for _ in range(1 + twice):
            self._post.put(self._day, "camt.053", content, self._day, number)
        self._told.append(
            Happening(
                *(self._day, "statement", number, len(entries), closing),
                f"opened at {before:,}" + (", sent twice" if twice else ""),
            )
        )

    # Accounts and their lines

    def _account(self, number: str) -> answers.Account:
        name = self._store.one("SELECT name FROM account WHERE number = ?", number)
        return answers.Account(number, name, self._script.code)

    def _balance(self, number: str) -> int:
        return int(self._store.one("SELECT balance FROM account WHERE number = ?", number) or 0)

    def _change(self, number: str, won: int, name: str = "") -> None:
        self._store.do(
            "INSERT INTO account VALUES (?, ?, 0, 0, ?)"
            " ON CONFLICT (number) DO UPDATE SET balance = balance + ?",
            *(number, name, max(won, 0), won),
        )

    def _entry(
        self,
        account: str,
        won: int,
        kind: str,
        end_to_end_id: str = "",
        remittance: str = "",
        *,
        payment_information_id: str = "",
        message_id: str = "",
        count: int = 1,
        code: str = "",
        batch_no: int = 0,
    ) -> answers.Entry:
        number = self._store.next_no("entry")
        self._store.do(
            "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(number, account, self._day.isoformat(), won, kind, end_to_end_id, payment_information_id),
            *(message_id, count, remittance, code, batch_no),
        )
        return self._read(self._store.rows("SELECT * FROM entry WHERE no = ?", number)[0])

    def _read(self, row: Any) -> answers.Entry:
        details = []
        if row["batch_no"] and self._script.batch_details:
            details = self._store.rows(
                "SELECT end_to_end_id, won FROM payment WHERE batch_no = ? AND paid_on = ? ORDER BY no",
                *(row["batch_no"], row["day"]),
            )
        return answers.Entry(
            number=row["no"],
            day=date.fromisoformat(row["day"]),
            won=row["won"],
            kind=row["kind"],
            end_to_end_id=row["end_to_end_id"],
            payment_information_id=row["payment_information_id"],
            message_id=row["message_id"],
            count=row["count"],
            remittance=row["remittance"],
            code=row["code"],
            details=[tuple(detail) for detail in details],
        )
