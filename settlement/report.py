"""What a run tells: values that turn into JSON as they are, and into a page to read. Amounts in won."""

from collections.abc import Callable
from datetime import date
from textwrap import fill
from typing import Any

import msgspec

from settlement.errors import ExitCode

COLUMNS = 120


class FunderCashback(msgspec.Struct, frozen=True):
    """Cashback of the date on one funder's budget."""

    funder: str
    granted: int
    taken_back: int


class PayDate(msgspec.Struct, frozen=True):
    """Payouts that leave on one bank day."""

    pay_on: date
    payouts: int
    won: int


class FileReport(msgspec.Struct, frozen=True):
    """A file for the bank: its name in the outbox and what it orders, from which account on which day."""

    name: str
    sha256: str
    pay_on: date
    payouts: int
    won: int
    file_no: int = 0  # 0: emitted by a release before files had numbers
    debtor: str = "safeguarded"


class MerchantLine(msgspec.Struct, frozen=True):
    """One merchant in a preview: who gets how much when."""

    merchant: str
    name: str
    sales: int
    refunds: int
    fee: int
    carried_in: int
    paid: int
    carried_out: int
    pay_on: date
    vat: int = 0
    rebate: int = 0
    rebate_vat: int = 0
    subsidy: int = 0
    reserved: int = 0
    released: int = 0
    rounding: int = 0
    held: str = ""  # why what it is due is carried, not paid


class DayOutcome(msgspec.Struct, frozen=True):
    """What close_day froze."""

    payments: int = 0
    entries: int = 0
    won: int = 0
    sha256: str = ""


class ExpiredPart(msgspec.Struct, frozen=True):
    """What was left in expired lots of one kind and went to one funder."""

    kind: str
    funder: str
    lots: int
    won: int


class ExpireOutcome(msgspec.Struct, frozen=True):
    """What expire_lots took from lots whose last valid day was the date or an earlier one."""

    parts: tuple[ExpiredPart, ...] = ()
    lots: int = 0
    won: int = 0


class CreditOutcome(msgspec.Struct, frozen=True):
    """What credit_cashback found and credited. `taken` is what wallets gave back, as a positive number."""

    cashback: tuple[FunderCashback, ...] = ()
    wallets: int = 0
    credited: int = 0
    taken: int = 0
    exceptions: int = 0


class PayOutcome(msgspec.Struct, frozen=True):
    """What pay_merchants booked. `carried` is the sum of negative balances, `held` of positive ones.

    `rebates` are with their tax. `again` payouts had failed and were ordered once more, beside `payouts`.
    """

    merchants: int = 0
    sold: int = 0
    refunded: int = 0
    fees: int = 0
    payouts: int = 0
    paid: int = 0
    by_date: tuple[PayDate, ...] = ()
    carried_merchants: int = 0
    carried: int = 0
    held_merchants: int = 0
    held: int = 0
    vat: int = 0
    rebates: int = 0
    subsidies: int = 0
    reserved: int = 0
    released: int = 0
    rounding: int = 0
    again: int = 0
    again_won: int = 0


class EmitOutcome(msgspec.Struct, frozen=True):
    """What emit_files left in the outbox."""

    files: tuple[FileReport, ...] = ()


class FileState(msgspec.Struct, frozen=True):
    """One file of a run and how it stands: `about` says what it waits for, or what became of it."""

    name: str
    state: str
    about: str = ""


class ApproveOutcome(msgspec.Struct, frozen=True):
    """Which files are approved. Like every later step's outcome: `waits` is empty once the step is done."""

    files: tuple[FileState, ...] = ()
    waits: str = ""


class DeliverOutcome(msgspec.Struct, frozen=True):
    """Which files are at the bank. `exceptions`: a line for each that a person must look at; `away`: the
    bank's server did not answer.
    """

    files: tuple[FileState, ...] = ()
    waits: str = ""
    exceptions: tuple[str, ...] = ()
    away: bool = False


class AckOutcome(msgspec.Struct, frozen=True):
    """What the bank has answered about the run's payouts and transfers: counts and won."""

    accepted: int = 0
    rejected: int = 0
    rejected_won: int = 0
    unanswered: int = 0
    waits: str = ""


class ReconcileOutcome(msgspec.Struct, frozen=True):
    """What the bank's statements say about the run's payouts and transfers: counts and won."""

    booked: int = 0
    booked_won: int = 0
    returned: int = 0
    returned_won: int = 0
    open: int = 0
    open_won: int = 0
    waits: str = ""


class LaterRun(msgspec.Struct):
    """One run on its way through the later steps: state, outcome and what it waits for, by step."""

    business_date: date
    cycle: int
    states: dict[str, str] = {}
    waits: dict[str, str] = {}
    outcomes: dict[str, Any] = {}


class ProgrammeReport(msgspec.Struct):
    """One programme's run. `problem` is the line that says why it stopped; `exceptions` do not stop it."""

    programme: str
    business_date: date | None = None
    cycle: int = 1
    code: int = 0
    problem: str = ""
    exceptions: list[str] = []
    already_done: bool = False
    steps_done: list[str] = []
    day: DayOutcome | None = None
    expire: ExpireOutcome | None = None
    credit: CreditOutcome | None = None
    pay: PayOutcome | None = None
    emit: EmitOutcome | None = None
    later: list[LaterRun] = []
    preview: list[MerchantLine] = []
    step_ms: dict[str, int] = {}


class RunReport(msgspec.Struct):
    """All programmes of one call. `exit_code` is that of the command."""

    programmes: list[ProgrammeReport]
    exit_code: int = ExitCode.DONE
    dry_run: bool = False

    def json(self) -> bytes:
        """The report as JSON, indented."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2)


def as_text(report: RunReport) -> str:
    """The report as a page for people."""
    blocks = [_programme(programme, dry_run=report.dry_run) for programme in report.programmes]
    return "\n\n".join(blocks) if blocks else "no programme has been applied yet: nothing to settle"


def _programme(report: ProgrammeReport, *, dry_run: bool) -> str:
    state = "preview, nothing written" if dry_run else "already done" if report.already_done else "settled"
    if report.problem:
        state = f"stopped (exit {report.code})"
    lines = [f"{report.programme}  business date {report.business_date or '-'}  {state}"]
    if report.day:
        lines.append(
            f"  day        {report.day.payments:,} payments, {report.day.entries:,} entries,"
            f" {report.day.won:,} won moved  sha256 {report.day.sha256[:16]}…"
        )
    if report.expire:
        lines += _expire(report.expire)
    if report.credit:
        lines += _credit(report.credit)
    if report.pay:
        lines += _pay(report.pay)
    if report.preview:
        lines += ["", *_preview(report.preview), ""]
    for file in report.emit.files if report.emit else ():
        lines.append(
            f"  file       {file.name}  {file.payouts:,} payouts, {file.won:,} won on {file.pay_on}\n"
            f"{'':13}sha256 {file.sha256[:16]}…"
        )
    for run in report.later:
        name = f"{run.business_date}" + (f" cycle {run.cycle}" if run.cycle > 1 else "")
        lines += [_folded("waiting", f"{name} {step}: {why}") for step, why in run.waits.items()]
    lines += [_folded("exception", line) for line in report.exceptions]
    if report.problem:
        lines.append(_folded("problem", report.problem))
    return "\n".join(lines)


def _folded(head: str, told: str) -> str:
    """A line with its heading, folded between words; a path stays whole."""
    return fill(
        told,
        COLUMNS,
        initial_indent=f"  {head:<10} ",
        subsequent_indent=" " * 13,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _expire(expire: ExpireOutcome) -> list[str]:
    return [
        f"  expired    {part.kind} to {part.funder}: {part.lots:,} lots, {part.won:,} won"
        for part in expire.parts
    ]


def _credit(credit: CreditOutcome) -> list[str]:
    lines = [
        f"  cashback   {share.funder}: granted {share.granted:,}, taken back {share.taken_back:,}"
        for share in credit.cashback
    ]
    lines.append(
        f"  credited   {credit.credited:,} won to {credit.wallets:,} wallets, {credit.taken:,} taken"
    )
    return lines


def _pay(pay: PayOutcome) -> list[str]:
    lines = [
        f"  merchants  {pay.merchants:,}: sold {pay.sold:,}, refunded {pay.refunded:,}, fees {pay.fees:,}",
        f"  payouts    {pay.payouts:,} of {pay.paid:,} won",
        f"  carried    {pay.carried:,} won of {pay.carried_merchants:,} merchants",
    ]
    more = (
        ("tax on fees", pay.vat),
        ("fees given back", pay.rebates),
        ("subsidies", pay.subsidies),
        ("kept back", pay.reserved),
        ("released", pay.released),
        ("rounded off", pay.rounding),
    )
    told = [f"{name} {won:,}" for name, won in more if won]
    if told:
        lines.insert(1, f"  besides    {', '.join(told)}")
    if pay.held_merchants:
        lines.append(f"  held       {pay.held:,} won of {pay.held_merchants:,} merchants")
    lines += [f"             {on.pay_on}: {on.payouts:,} payouts, {on.won:,} won" for on in pay.by_date]
    if pay.again:
        lines.append(f"  again      {pay.again:,} payouts of {pay.again_won:,} won that had failed")
    return lines


# The columns of a preview: heading, and the amount with its sign for the merchant.
_COLUMNS: tuple[tuple[str, Callable[[MerchantLine], int]], ...] = (
    ("sales", lambda one: one.sales),
    ("refunds", lambda one: -one.refunds),
    ("fee", lambda one: -one.fee),
    ("tax", lambda one: -one.vat),
    ("rebate", lambda one: one.rebate + one.rebate_vat),
    ("subsidy", lambda one: one.subsidy),
    ("released", lambda one: one.released),
    ("carried", lambda one: one.carried_in),
    ("kept", lambda one: -one.reserved),
    ("round", lambda one: -one.rounding),
    ("pays", lambda one: one.paid),
)
_ALWAYS = ("sales", "fee", "pays")


def _preview(lines: list[MerchantLine]) -> list[str]:
    """The merchants as a table whose rows add up; a column that is 0 for all of them is left out."""
    shown = [
        (name, max([len(name), *(len(f"{won(one):,}") for one in lines)]), won)
        for name, won in _COLUMNS
        if name in _ALWAYS or any(won(one) for one in lines)
    ]
    first = max([len("merchant"), *(len(one.merchant) for one in lines)])
    head = " ".join(f"{name:>{width}}" for name, width, _ in shown)
    table = [f"  {'merchant':<{first}} {head}  on"]
    for one in lines:
        amounts = " ".join(f"{won(one):>{width},}" for _, width, won in shown)
        table.append(f"  {one.merchant:<{first}} {amounts}  {one.pay_on if one.paid else ''}".rstrip())
        if not one.paid and one.carried_out:
            why = f", {one.held}" if one.held else ""
            table.append(f"  {'':<{first}} carries {one.carried_out:,}{why}")
    return table
