"""What operators do in a scenario besides imports: issue campaigns, open donation cases, explain payments."""

import asyncio
from pathlib import Path
from typing import Any, Final

from terminal_sim import scenario as words
from terminal_sim import scenario_steps as steps
from terminal_sim.processes import Finished
from terminal_sim.sandbox import Installation
from terminal_sim.scenario_stage import Names, Stage, write_csv

Line = tuple[str, Any, Any]
"""What is compared, what must be, what is; a first None means that nothing is demanded."""

ISSUE_COLUMNS: Final = ("member_id",)


class Operator:
    """Gives the commands of one scenario: `await Operator(stage, installation).issue(step)`."""

    def __init__(self, stage: Stage, installation: Installation, work: Path) -> None:
        """`work` is the folder for the files that commands read."""
        self.names: Names = stage.names
        self.programme = ("--programme", stage.programme_id)
        self.installation = installation
        self.work = work

    async def open_cases(self, cases: dict[str, words.Case]) -> None:
        """Opens every donation case of the town. Raises ProgramError."""
        for code, case in cases.items():
            given = {
                "code": self.names.case(code),
                "kind": case.kind,
                "title": code,
                "text": code,
                "target": case.target,
                "deadline": case.deadline.isoformat(),
                "merchant": self.names.merchant(case.merchant),
            }
            options = [text for name, value in given.items() for text in (f"--{name}", str(value))]
            (await self.installation.switch("donation", "open", *self.programme, *options)).check()

    async def issue(self, step: steps.Issue) -> tuple[Finished, list[Line]]:
        """Issues a campaign; what is to be compared of its report."""
        path = self.work / f"issue-{step.number}.csv"
        rows = [(self.names.member(name),) for name in step.members]
        await asyncio.to_thread(write_csv, path, ISSUE_COLUMNS, rows)
        finished = await self.installation.switch(
            "campaign", "issue", step.campaign, *self.programme, "--members", str(path), "--json"
        )
        if finished.code != step.exit:
            return finished, []
        issued = finished.json().get("issued") if finished.output.strip() else 0
        return finished, [(f"issued of {step.campaign}", step.issued, issued)]

    async def explain(self, step: steps.Explain, which: str) -> list[Line]:
        """What stands in the explanation of a payment, named as commands do. Raises ProgramError."""
        ask = ("explain", which, *self.programme)
        text = await self.installation.switch(*ask, "--lang", step.lang)
        told = " ".join(text.check().output.split())
        lines: list[Line] = [
            (f"the explanation of {step.of}", f"with {words!r}", f"with {words!r}" if words in told else told)
            for words in step.contains
        ]
        lines += [
            (f"the explanation of {step.of}", f"without {words!r}", told)
            for words in step.lacks
            if words in told
        ]
        if step.reasons is not None:
            view = (await self.installation.switch(*ask, "--json")).check().json()
            lines.append((f"reasons of {step.of}", list(step.reasons), reasons_of(view)))
        return lines

    async def budgets(self, expected: list[steps.BudgetLine]) -> list[Line]:
        """Granted and left of budgets, as `dure-switch budget list` tells them."""
        told = await self.installation.switch("budget", "list", *self.programme, "--json")
        rows = {(row["code"], row["funder"] or "", _month(row["month"])): row for row in told.check().json()}
        lines: list[Line] = []
        for one in expected:
            name = f"budget {one.code} {one.funder}".rstrip() + (f" of {one.month}" if one.month else "")
            row = rows.get((one.code, one.funder, one.month))
            net = None if row is None else row["granted"] - row["returned"]
            lines.append((f"{name}, granted", one.granted, "nothing" if row is None else net))
            lines.append((f"{name}, left", one.left, "nothing" if row is None else row["left"]))
        return lines

    async def cases(self, expected: dict[str, int]) -> list[Line]:
        """Won that donation cases have got."""
        told = await self.installation.switch("donation", "list", *self.programme, "--json")
        given = {row["code"]: row["given"] for row in told.check().json()}
        return [
            (f"given to {code}", won, given.get(self.names.case(code), "no such case"))
            for code, won in expected.items()
        ]


def reasons_of(view: dict[str, Any]) -> list[str]:
    """All reasons of a decline, the answered one first."""
    return [fault["reason"] for fault in view["facts"]["faults"]]


def _month(value: Any) -> int:
    """yyyymm of a month however it is written; 0 for a pot for good."""
    digits = "".join(letter for letter in str(value or "") if letter.isdigit())
    return int(digits or 0)
