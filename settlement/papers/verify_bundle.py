"""Checks an auditor's bundle by itself: `python verify_bundle.py BUNDLE` (a folder, or a .tar file).

It needs Python 3.9 or later alone: no database, no package, no network, none of the system's own code. It
prints a line for each check, and ends with 0 if all hold, 1 if one does not, 2 if there is nothing to check.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sys
import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from itertools import groupby
from pathlib import Path
from typing import IO, Any
from xml.etree import ElementTree

MANIFEST, GENESIS, PPM, HOUSE_CHUNK = "MANIFEST.sha256", "0" * 64, 1_000_000, 10_000
PAYABLE, RESERVE, SENT, VAT, FEES, ROUNDING, FUNDER_DUE = 221, 222, 231, 252, 301, 302, 111
PAYMENT, ACT, SHOWN = 1, 5, 5  # what books merchants' trade; faults shown of a check
LEFT = ("approved", "delivering", "delivered", "answered")  # states of a file that somebody has approved
HOUSE = ("line", "debit", "credit", "won", "merchant_no", "funder_no")
ENTRY = ("wallet_id", "seq", "line", "source", *HOUSE[1:4], "lot_no", *HOUSE[4:], "budget_no")
PLUS = ("sales", "rebate", "rebate_vat", "subsidy", "released", "carried_in")
MINUS = ("refunds", "fee", "vat", "reserved", "rounding", "paid", "carried_out")
CHECKS = ["manifest", "dates", "netting", "fees", "bookings", "payouts", "bank_files", "approvals", "answers"]
CHECKS += ["statements", "audit_log", "proof"]
KOREA = timezone(timedelta(hours=9))
Row = dict[str, str]
Faults = Iterator[str]


class Files:
    """The bundle's files by name, from a folder or a tar file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tar = tarfile.open(path, "r:") if path.is_file() else None  # noqa: SIM115
        self.members = {one.name: one for one in self.tar.getmembers()} if self.tar else {}
        found = (one for one in path.rglob("*") if not one.is_dir())
        self.names = sorted(self.members or (one.relative_to(path).as_posix() for one in found))

    def open(self, name: str) -> IO[bytes]:
        """The file, to be read. Raises KeyError or OSError where it is not there."""
        source = self.tar.extractfile(self.members[name]) if self.tar else (self.path / name).open("rb")
        if source is None:
            raise KeyError(name)
        return source

    def rows(self, name: str) -> Iterator[Row]:
        """The rows of a CSV file by column; all values are text."""
        with self.open(name) as source:
            yield from csv.DictReader(io.TextIOWrapper(source, "utf-8", newline=""), strict=True)

    def json(self, name: str) -> Any:
        """What a JSON file holds."""
        with self.open(name) as source:
            return json.load(source)

    def digest(self, name: str) -> tuple[str, int]:
        """A file's SHA-256 and its size in bytes."""
        size, found = 0, hashlib.sha256()
        with self.open(name) as source:
            while block := source.read(1 << 20):
                found.update(block)
                size += len(block)
        return found.hexdigest(), size


class Audit:
    """The checks. Each yields its faults and counts what it has looked at."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.count = 0
        self.head: dict[str, Any] = files.json("bundle.json")
        self.trade: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])  # sales, refunds
        self.booked: dict[str, Counter[tuple[int, str]]] = defaultdict(Counter)  # of runs: won credited
        self.again: dict[str, tuple[str, int]] = {}  # EndToEndId: merchant and won, as booked again
        self.days: set[str] = set()

    def manifest(self) -> Faults:
        """every file is as the manifest lists it"""
        names = [name for name in self.files.names if name != MANIFEST]
        self.count = len(names)
        lines = ["{} {} {}\n".format(*self.files.digest(name), name) for name in names]
        with self.files.open(MANIFEST) as source:
            told = source.read().decode("utf-8", "replace").splitlines(keepends=True)
        different = sorted(set(lines) ^ set(told), key=lambda one: one.split(" ", 2)[-1])
        yield from (f"{one.split(' ', 2)[-1].strip()}: not as listed" for one in different)
        if not different and lines != told:
            yield "the manifest is not in its own form"

    def dates(self) -> Faults:
        """closed dates are as they were closed, and chained"""
        previous = GENESIS
        for day in self.files.rows("business_day.csv"):
            date = day["business_date"]
            if day["previous_sha256"] != previous:
                yield f"{date} is not chained to the date before"
            previous = day["sha256"]
            if not self.head["first"] <= date <= self.head["last"]:
                continue
            self.days.add(date)
            told = f"{self.head['programme_no']} {date} {day['payments']}\n"
            content, count, won = self.journal(date, hashlib.sha256(told.encode()))
            self.count += count
            if (str(count), str(won)) != (day["entries"], day["won"]):
                yield f"{date} has {count} entries of {won} won, it was closed with others"
            link = hashlib.sha256(f"{day['previous_sha256']}\n{content}\n".encode()).hexdigest()
            if link != day["sha256"]:
                yield f"{date}: the journal is not what was closed"
        journals = [one for one in self.files.names if one.startswith("journal/")]
        if len(journals) != 2 * len(self.days):
            yield "there are journals of dates that are not closed"

    def journal(self, date: str, content: Any) -> tuple[str, int, int]:
        """The fingerprint of one date's journal, its entries and their won."""
        entries = groupby(self.files.rows(f"journal/{date}.entry.csv"), lambda row: row["bucket"])
        house = groupby(
            self.files.rows(f"journal/{date}.house.csv"),
            lambda row: f"{row['posting']} {int(row['line']) // HOUSE_CHUNK}",
        )
        total = moved = 0
        for groups, columns in ((entries, ENTRY), (house, HOUSE)):
            for label, rows in groups:
                found, count, won = hashlib.sha256(), 0, 0
                for row in rows:
                    values = [row[one] for one in columns]
                    if row.get("budget_no") == "0":
                        values.pop()  # the budget stands last, where there is one
                    found.update(("\n" if count else "").encode() + ",".join(values).encode())
                    count, won = count + 1, won + int(row["won"])
                    self.learn(date, row)
                content.update(f"{label} {count} {won} {found.hexdigest()}\n".encode())
                total, moved = total + count, moved + won
        return content.hexdigest(), total, moved

    def learn(self, date: str, row: Row) -> None:
        """Keep what later checks need of an entry: sums by merchant. Raises ValueError on no movement."""
        debit, credit, won = int(row["debit"]), int(row["credit"]), int(row["won"])
        merchant, posting = row["merchant_no"], row.get("posting")
        if won <= 0 or debit == credit:
            raise ValueError(f"{date}: an entry of {won} won from {credit} to {debit}")
        if posting is None:
            if PAYABLE in (debit, credit) and int(row["source"]) in (PAYMENT, ACT):
                self.trade[date, merchant][debit == PAYABLE] += won
        elif posting.startswith("pay_merchants:"):
            self.booked[posting][credit, merchant] += won
            self.booked[posting][debit, merchant] -= won
        elif posting.startswith("represent:") and credit == SENT:
            self.again[posting.split(":", 1)[1]] = (merchant, won)

    def netting(self) -> Faults:
        """merchants' lines add up, go on from the run before, are the journal's"""
        before: dict[str, int] = {}
        now: dict[str, int] = {}
        seen, run = set(), ("", 0)
        for date, merchant, one in self.nets():
            where = f"{date} cycle {one['cycle']} merchant {merchant}"
            if run != (date, one["cycle"]):
                yield from lost(before, now, run)
                before, now, first, run = now, {}, not run[0], (date, one["cycle"])
            if sum(one[name] for name in PLUS) != sum(one[name] for name in MINUS):
                yield f"{where} does not add up"
            if not first and one["carried_in"] != before.get(merchant, 0):
                yield f"{where} carries in {one['carried_in']}, the run before {before.get(merchant, 0)}"
            now[merchant] = one["carried_out"]
            trade = self.trade.get((date, merchant), [0, 0]) if one["cycle"] == 1 else [0, 0]
            if trade != [one["sales"], one["refunds"]]:
                yield f"{where} nets {one['sales']} and {one['refunds']}, the journal has {trade}"
            seen.add((date, merchant))
        yield from lost(before, now, run)
        steps = self.steps()
        for date, merchant in sorted(self.trade.keys() - seen):
            if f"pay_merchants:{date}:1" in steps:
                yield f"{date}: merchant {merchant} has traded and has no line"

    def fees(self) -> Faults:
        """fees and their tax are the policy's, floored"""
        cutover = json.loads(next(self.files.rows("programme.csv"))["document"]).get("cutover", "00:00:00")
        policies = sorted(
            (row["effective_from"], json.loads(row["document"])) for row in self.files.rows("policy.csv")
        )
        for date, merchant, one in self.nets():
            end = datetime.fromisoformat(f"{date}T{cutover[:8]}").replace(tzinfo=KOREA) + timedelta(days=1)
            policy = [found for start, found in policies if datetime.fromisoformat(start) < end][-1]
            known = {each["rate_ppm"] for each in policy["fee_classes"]} | {policy["fee_default_ppm"]}
            if policy.get("donation_group"):
                known.add(0)
            if one["fee_rate_ppm"] not in known:
                yield f"{date} merchant {merchant}: the policy has no fee of {one['fee_rate_ppm']} ppm"
            fee = floor(one["sales"] - one["refunds"], one["fee_rate_ppm"])
            due = (fee, floor(fee, policy.get("fee_vat_ppm", 0)))
            if (one["fee"], one["vat"]) != due:
                yield f"{date} merchant {merchant}: fee, tax {one['fee']}, {one['vat']}; due {due}"

    def bookings(self) -> Faults:
        """what runs booked (inside the bundle's dates) is what their lines say"""
        steps = self.steps()
        due: dict[str, Counter[tuple[int, str]]] = defaultdict(Counter)
        for date, merchant, one in self.nets():
            name = f"pay_merchants:{date}:{one['cycle']}"
            if steps.get(name) not in self.days:
                self.count -= 1  # booked after the bundle's end
                continue
            credited = {
                FEES: one["fee"] - one["rebate"],
                VAT: one["vat"] - one["rebate_vat"],
                RESERVE: one["reserved"] - one["released"],
                ROUNDING: one["rounding"],
                SENT: one["paid"],
                FUNDER_DUE: -one["subsidy"],
            }
            for account, won in (*credited.items(), (PAYABLE, -sum(credited.values()))):
                due[name][account, merchant] += won
        for name in sorted(due.keys() | self.booked.keys()):
            if name in due or self.head["first"] <= name.split(":")[1] <= self.head["last"]:
                for key in sorted(due[name].keys() | self.booked[name].keys()):
                    if due[name][key] != self.booked[name][key]:
                        yield f"{name} {key}: {self.booked[name][key]} booked, {due[name][key]} due"

    def payouts(self) -> Faults:
        """payouts are what merchants' lines pay; again is the same amount"""
        due = {(date, str(one["cycle"]), merchant): one["paid"] for date, merchant, one in self.nets()}
        first: dict[tuple[str, str, str], int] = {}
        named: dict[str, tuple[str, int]] = {}
        self.count = 0
        for row in self.files.rows("payout.csv"):
            self.count += 1
            key, won = (row["business_date"], row["cycle"], row["merchant_no"]), int(row["won"])
            named[row["end_to_end_id"]] = (row["merchant_no"], won)
            if won != (first.setdefault(key, won) if row["attempt"] != "1" else due.get(key, won)):
                yield f"{row['end_to_end_id']} pays {won}, which is not its line or its first attempt"
            first.setdefault(key, won)
        yield from (f"{key} pays {won}, not ordered" for key, won in due.items() if won and key not in first)
        wrong = [name for name, told in self.again.items() if named.get(name, told) != told]
        yield from (f"{name} was booked again with another amount" for name in wrong)

    def bank_files(self) -> Faults:
        """files are numbered without gap, have their hash, pay their lines"""
        rows = (row for name in ("payout.csv", "house_transfer.csv") for row in self.files.rows(name))
        items = {row["end_to_end_id"]: int(row["won"]) for row in rows}
        lines: dict[str, list[str]] = defaultdict(list)
        live: Counter[str] = Counter()
        for row in self.files.rows("bank_file_line.csv"):
            lines[row["file_no"]].append(row["end_to_end_id"])
        last = 0
        for row in self.files.rows("bank_file.csv"):
            own, name = lines.pop(row["file_no"], []), row["name"]
            self.count += 1
            if last and int(row["file_no"]) != last + 1:
                yield f"{name}: no file has the number before {row['file_no']}"
            last = int(row["file_no"])
            live.update(own if row["state"] != "voided" else ())
            paid = [(one, items[one]) for one in own]
            if (str(len(own)), str(sum(won for _, won in paid))) != (row["payments"], row["won"]):
                yield f"{name}: its lines do not come to {row['payments']} payments of {row['won']} won"
            if row["sha256"] and self.files.digest(f"out/{name}")[0] != row["sha256"]:
                yield f"{name}: its bytes are not those of its hash"
            if row["sha256"] and name.endswith(".xml") and self.transfers(f"out/{name}") != paid:
                yield f"{name}: it does not pay its lines"
        yield from (f"{one} stands in {times} files" for one, times in live.items() if times > 1)
        yield from (f"lines of file {number}, which is not there" for number in lines)

    def transfers(self, name: str) -> list[tuple[str, int]]:
        """(EndToEndId, won) of each transfer of a pain.001 file, in its order."""
        found = []
        with self.files.open(name) as source:
            for _, node in ElementTree.iterparse(source):  # noqa: S314 (its hash has been checked)
                if node.tag.endswith("}CdtTrfTxInf"):
                    told = {one.tag.split("}")[1]: one.text or "" for one in node.iter()}
                    found.append((told["EndToEndId"], int(told["InstdAmt"])))
                    node.clear()
        return found

    def approvals(self) -> Faults:
        """two people stand for every file that left, by its hash"""
        files = {row["file_no"]: row for row in self.files.rows("bank_file.csv")}
        approved = set()
        for row in self.files.rows("file_approval.csv"):
            self.count += 1
            file = files[row["file_no"]]
            if row["approved_by"].lower() in (row["made_by"].lower(), file["made_by"].lower()):
                yield f"{file['name']} was approved by its maker"
            if row["sha256"] != file["sha256"]:
                yield f"{file['name']}: another hash was approved"
            if not row["voided_at"]:
                approved.add(row["file_no"])
        for number, file in files.items():
            if file["state"] in LEFT and number not in approved:
                yield f"{file['name']} is {file['state']} without approval"

    def answers(self) -> Faults:
        """the bank's answers are the bytes that came"""
        for row in self.files.rows("inbound_file.csv"):
            self.count += 1
            if self.files.digest(f"in/{row['archived'].split('/')[-1]}") != (row["sha256"], int(row["size"])):
                yield row["name"]

    def statements(self) -> Faults:
        """the bank's statements add up and follow each other"""
        moved: dict[tuple[str, str], list[int]] = defaultdict(list)
        last: dict[str, int] = {}
        for row in self.files.rows("bank_entry.csv"):
            moved[row["account"], row["statement_id"]].append(int(row["won"]))
        for row in self.files.rows("bank_statement.csv"):
            self.count += 1
            account, opening, closing = row["account"], int(row["opening"]), int(row["closing"])
            entries = moved.pop((account, row["statement_id"]), [])
            if len(entries) != int(row["entries"]) or opening + sum(entries) != closing:
                yield f"{account} {row['statement_id']}: opening and entries do not make the closing"
            if last.get(account, opening) != opening:
                yield f"{account} {row['statement_id']} opens with {opening}, not {last[account]}"
            last[account] = closing
        yield from (f"entries of no statement: {key}" for key in moved)

    def audit_log(self) -> Faults:
        """the audit log is whole, each line chained to the one before"""
        previous = GENESIS
        for row in self.files.rows("audit.csv"):
            self.count += 1
            told: dict[str, Any] = {one: row[one] for one in ("act", "actor", "at", "detail", "subject")}
            told["audit_no"] = int(row["audit_no"])
            line = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            found = hashlib.sha256(f"{row['previous_sha256']}\n{line}".encode()).hexdigest()
            if (told["audit_no"], row["previous_sha256"], row["sha256"]) != (self.count, previous, found):
                yield f"line {row['audit_no']} is not what was written"
            previous = row["sha256"]

    def proof(self) -> Faults:
        """the system's own proof held when the bundle was made"""
        found = self.files.json("proof.json")
        self.count = len(found["checks"])
        yield from (one["name"] for one in found["checks"] if one["broken"])
        if not found["ok"]:
            yield "the proof as a whole did not hold"

    def nets(self) -> Iterator[tuple[str, str, dict[str, int]]]:
        """Date, merchant and numbers of every merchant's line, in the order of the runs."""
        for row in self.files.rows("merchant_net.csv"):
            self.count += 1
            numbers = {name: int(row[name]) for name in (*PLUS, *MINUS, "cycle", "fee_rate_ppm")}
            yield row["business_date"], row["merchant_no"], numbers

    def steps(self) -> dict[str, str]:
        """The postings of the runs that have paid their merchants, and the dates they were booked on."""
        return {
            f"pay_merchants:{row['business_date']}:{row['cycle']}": row["booked_on"]
            for row in self.files.rows("settlement_step.csv")
            if (row["step"], row["state"]) == ("pay_merchants", "done")
        }


def lost(before: dict[str, int], now: dict[str, int], run: tuple[str, int]) -> Faults:
    """Who carried something into a run and has no line in it."""
    for merchant, won in before.items():
        if won and merchant not in now:
            yield f"merchant {merchant} carried {won} won and has no line on {run[0]} cycle {run[1]}"


def floor(won: int, ppm: int) -> int:
    """The floor of a rate on an amount; of an amount below 0 that of its size, as less than 0."""
    return -(-won * ppm // PPM) if won < 0 else won * ppm // PPM


def main(arguments: list[str]) -> int:
    """Check the bundle that is named; returns the exit code."""
    path = Path(arguments[0] if len(arguments) == 1 else "?")
    try:
        files = Files(path)
        seal, audit = files.digest(MANIFEST)[0], Audit(files)
    except (OSError, LookupError, ValueError, tarfile.TarError) as error:
        print(f"FAIL  {path} is no whole bundle ({error!r}). {__doc__}", file=sys.stderr)  # noqa: T201
        return 1 if path.exists() else 2
    held = [told(audit, getattr(audit, name)) for name in CHECKS]
    print(f"{'all checks hold' if all(held) else 'SOMETHING IS WRONG'}; manifest sha256 {seal}")  # noqa: T201
    return 0 if all(held) else 1


def told(audit: Audit, check: Any) -> bool:
    """Make one check and print what it found. A check that cannot be made has failed."""
    audit.count, faults = 0, []
    try:
        faults.extend(check())
    except Exception as error:  # noqa: BLE001 (whatever hinders a check, it has not held)
        faults.append(f"cannot be checked: {error!r}")
    lines = [f"{'FAIL' if faults else 'ok':<5} {check.__doc__:<75} {audit.count:>12,}"]
    lines += [f"      {fault}" for fault in faults[:SHOWN]] + ["      ..."] * (len(faults) > SHOWN)
    print("\n".join(lines))  # noqa: T201
    return not faults


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
