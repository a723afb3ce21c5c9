"""A run's page fits the screen."""

from datetime import date

from settlement.report import COLUMNS, EmitOutcome, FileReport, LaterRun, ProgrammeReport, RunReport, as_text

WAITS = "54 payments of 6,526,253 won are on no statement of the bank: its camt.053 belongs into /srv/inbox"


def test_long_lines_are_folded_between_words() -> None:
    day = date(2026, 12, 1)
    name = "ontong_20261201_01_000003_pay20261203.pain.001.xml"
    report = ProgrammeReport(
        "ontong",
        day,
        emit=EmitOutcome((FileReport(name, "7" * 64, day, 54_000, 6_526_253_000),)),
        later=[LaterRun(day, 2, waits={"reconcile": WAITS})],
        exceptions=[f"{name}: {WAITS}"],
        problem=WAITS,
    )
    page = as_text(RunReport([report]))
    assert max(map(len, page.splitlines())) <= COLUMNS
    assert page.count("belongs into") == 3
    assert " ".join(page.split()).count(WAITS) == 3
