"""Runs scenario files, each in a throw-away installation of its own or all in one that is there."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from terminal_sim import scenario as words
from terminal_sim.processes import ProgramError
from terminal_sim.sandbox import Installation, Sandbox
from terminal_sim.scenario import DAY_ONE, Scenario
from terminal_sim.scenario_file import ScenarioError, read_scenario
from terminal_sim.scenario_play import Player, StepFailed
from terminal_sim.scenario_stage import build_stage, programme_path
from terminal_sim.scenario_steps import Hsm, Settle

EXIT_FAILED: Final = 1
EXIT_BAD_FILE: Final = 2
FILE_TIMEOUT_S: Final = 600.0

Place = Callable[[], AbstractAsyncContextManager[tuple[Installation, Path]]]
"""Where a file is played, and the folder for what is written for it."""


class Result(msgspec.Struct, kw_only=True):
    """What came of one file. `problem` is empty when all holds; `step` 0 means outside the steps.

    `differences` are those between the terminals' journals and the books, where they were compared.
    """

    file: str
    title: str
    holds: bool
    steps: int
    seconds: float = 0.0
    step: int = 0
    line: int = 0
    problem: str = ""
    differences: list[str] = []


def read_all(paths: Sequence[Path]) -> list[tuple[Path, Scenario]]:
    """Reads every file before one is played. Raises ScenarioError."""
    read = [(path, read_scenario(path)) for path in paths]
    for path, scenario in read:
        if isinstance(scenario.programme, str):
            try:
                programme_path(scenario.programme, path.parent)
            except ProgramError as error:
                raise ScenarioError([f"{path}: {error}"]) from None
    return read


async def run_in_sandbox(
    scenarios: Sequence[tuple[Path, Scenario]],
    *,
    jobs: int,
    keep: Path | None = None,
    shared: bool = False,
    compare: bool = False,
    done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Plays each file in an installation of its own, `jobs` at a time. Results in the order of the files.

    With `shared`, files that leave their installation as it was (see `_can_share`) are played one after the
    other in `jobs` installations: quicker by what it takes to make one. `keep` is a folder where everything
    is left: configurations, logs, databases. Raises ProgramError when no sandbox can be made.
    """
    results: dict[int, Result] = {}
    gate = asyncio.Semaphore(jobs)

    def ended(at: int, result: Result) -> None:
        results[at] = result
        if done is not None:
            done(result)

    async with Sandbox.open(keep) as sandbox:

        async def alone(at: int) -> None:
            path, scenario = scenarios[at]

            @asynccontextmanager
            async def place() -> AsyncIterator[tuple[Installation, Path]]:
                hsm_goes = any(isinstance(step, Hsm) for step in scenario.steps)
                name = f"{at + 1:02d}-{path.stem}"
                async with sandbox.installation(name, scenario.lines, own_hsm=hsm_goes) as installation:
                    yield installation, installation.directory / "files"

            async with gate:
                ended(at, await _run(path, scenario, place, compare=compare))

        async def together(group: int, places: Sequence[int]) -> None:
            async with gate, sandbox.installation(f"shared-{group}") as installation:
                for at in places:
                    path, scenario = scenarios[at]

                    @asynccontextmanager
                    async def place(stem: str = path.stem) -> AsyncIterator[tuple[Installation, Path]]:
                        yield installation, installation.directory / "files" / stem

                    result = await _run(path, scenario, place, tag=path.stem, compare=compare, apart=True)
                    ended(at, result)

        sharing = [at for at, (_, scenario) in enumerate(scenarios) if shared and _can_share(scenario)]
        groups = [sharing[group::jobs] for group in range(jobs) if sharing[group::jobs]]
        tasks = [together(number, places) for number, places in enumerate(groups, 1)]
        tasks += [alone(at) for at in range(len(scenarios)) if at not in sharing]
        await asyncio.gather(*tasks)
    return [results[at] for at in range(len(scenarios))]


def _can_share(scenario: Scenario) -> bool:
    """Whether other scenarios may be played in the same installation before and after: the plain line, the
    usual start, the HSM left alone; and what is settled or bounded by a budget is a programme of its own."""
    if scenario.lines or scenario.start != DAY_ONE:
        return False
    apart = isinstance(scenario.programme, words.Programme)
    return not any(
        isinstance(step, Hsm) or (isinstance(step, Settle) and not apart) for step in scenario.steps
    )


async def run_against(
    scenarios: Sequence[tuple[Path, Scenario]],
    installation: Installation,
    work: Path,
    *,
    tag: str | None = None,
    compare: bool = False,
    done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Plays the files one after the other against an installation that is there.

    Their members, merchants and terminals stay in its books, under names that end in `tag` (by default the
    file's name): to play a file again from the start, give another tag.
    """
    results: list[Result] = []
    for path, scenario in scenarios:

        @asynccontextmanager
        async def place(stem: str = path.stem) -> AsyncIterator[tuple[Installation, Path]]:
            yield installation, work / stem

        result = await _run(path, scenario, place, tag=tag or path.stem, compare=compare)
        results.append(result)
        if done is not None:
            done(result)
    return results


async def _run(
    path: Path,
    scenario: Scenario,
    place: Place,
    *,
    tag: str = "",
    compare: bool = False,
    apart: bool = False,
) -> Result:
    started = time.monotonic()
    result = Result(file=str(path), title=scenario.title, holds=False, steps=len(scenario.steps))
    try:
        async with asyncio.timeout(FILE_TIMEOUT_S), place() as (installation, work):
            stage = await build_stage(scenario, installation, work, base=path.parent, tag=tag, apart=apart)
            await installation.serve()
            player = Player(stage, installation, work)
            await player.operator.open_cases(scenario.cases)
            await player.play()
            if compare:
                result.differences = (await player.compare()).shown()
        result.holds = True
    except StepFailed as failure:
        result.step, result.line, result.problem = failure.step.number, failure.step.line, str(failure)
    except ProgramError as error:
        result.problem = str(error)
    except TimeoutError:
        result.problem = f"not finished after {FILE_TIMEOUT_S:.0f} s"
    except OSError as error:
        result.problem = f"the switch cannot be reached: {error}"
    result.seconds = round(time.monotonic() - started, 2)
    return result
