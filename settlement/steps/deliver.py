"""Step 7: approved files to the bank, each known to be there or known not to be.

A file that cannot be delivered keeps no other back. Which acts bring it there, and what happens when the line
breaks, is settlement.delivery.sending's.
"""

from collections.abc import Callable, Collection
from contextlib import suppress

from settlement.delivery import tries
from settlement.delivery.channel import AwayError, ChannelError
from settlement.delivery.fetching import fetch, line
from settlement.delivery.sending import BY_HAND, Result, Sender, taken_by_hand
from settlement.delivery.tries import BankFile
from settlement.desk import moves
from settlement.domain.bankfiles import FileState
from settlement.domain.run import Step
from settlement.errors import RetryLaterError, UsageError
from settlement.frame import Frame
from settlement.report import DeliverOutcome
from settlement.report import FileState as FileLine

SENDABLE = frozenset({FileState.APPROVED, FileState.DELIVERING})


def run(frame: Frame, names: Collection[str] = ()) -> DeliverOutcome:
    """Deliver what is approved, and settle what is not known yet; of the files named, or of all of the run.

    A file for a day on which banks are closed by now does not leave: its payments move. Raises
    ConfigurationError where the bank's server is not the one that is known, or the key is not taken.
    """
    chosen = _chosen(frame, names)
    voided: tuple[str, ...] = ()
    results: list[Result] = []
    if chosen and frame.settings.delivery.channel != BY_HAND:
        if any(file.state is FileState.APPROVED for file in chosen):
            voided = moves.move_pending(frame).voided
            chosen = _chosen(frame, names)
        results = _deliver(frame, chosen) if chosen else []
    return _outcome(frame, results, voided)


def stands(frame: Frame) -> DeliverOutcome:
    """How the run's files stand, and what they wait for; the bank is not asked."""
    return _outcome(frame, [])


def fetched(frame: Frame, name: str) -> DeliverOutcome:
    """Note that the bank has a file, at the word of whoever carried it there or asked the bank."""
    return _outcome(frame, [taken_by_hand(frame, _one(frame, name))])


def resend(frame: Frame, name: str) -> DeliverOutcome:
    """Send a file again at the word of whoever asked the bank and was told that it is not there."""
    file = _one(frame, name)
    if file.state is not FileState.DELIVERING:
        raise UsageError(
            f"{name} is {file.state.value}: only a file whose delivery is not known is sent again"
        )
    if frame.settings.delivery.channel == BY_HAND:
        raise UsageError('delivery.channel is "none": there is no line to send it over')
    try:
        with line(frame.settings.delivery) as channel:
            sender = Sender(frame, channel)
            file = sender.resend(file)
            result = sender.take_on(file) if file.state is FileState.APPROVED else Result(file)
    except ChannelError as error:
        raise RetryLaterError(f"{error}: run again") from error
    return _outcome(frame, [result])


def _deliver(frame: Frame, files: list[BankFile]) -> list[Result]:
    results: list[Result] = []
    try:
        with line(frame.settings.delivery) as channel:
            if any(file.state is FileState.DELIVERING for file in files):
                with suppress(ChannelError):  # an answer may tell of a file; without, it stays unknown
                    fetch(frame.connection, channel, frame.settings, frame.observer)
            sender = Sender(frame, channel)
            for file in files:
                results.append(sender.take_on(file))
                frame.observer.progress(Step.DELIVER.value, len(results), len(files))
                if results[-1].away:
                    break
    except AwayError as error:
        results.append(Result(files[0], str(error), away=True))
    return results


def _files(frame: Frame) -> list[BankFile]:
    with frame.connection.begin():
        return tries.files_of(frame.connection, frame.key)


def _chosen(frame: Frame, names: Collection[str]) -> list[BankFile]:
    return [file for file in _files(frame) if file.state in SENDABLE and (not names or file.name in names)]


def _one(frame: Frame, name: str) -> BankFile:
    for file in _files(frame):
        if file.name == name:
            return file
    raise UsageError(f"{name} is no file of this run: `files list` shows the names")


def _outcome(frame: Frame, results: list[Result], voided: Collection[str] = ()) -> DeliverOutcome:
    told = {result.file.name: result for result in results}
    files = _files(frame)
    lines = tuple(
        FileLine(file.name, file.state.value, told[file.name].about if file.name in told else "")
        for file in files
    )
    exceptions = (
        *(f"{one.file.name}: {one.about}" for one in results if one.problem),
        *(f"{name}: voided, banks are closed on its day: the next run makes a new file" for name in voided),
    )
    away = any(one.away for one in results)
    return DeliverOutcome(lines, _waits(frame, files, results), exceptions, away)


def _waits(frame: Frame, files: list[BankFile], results: list[Result]) -> str:
    """What the step waits for and what to do, most urgent first; empty when every file is at the bank."""

    def count(fits: Callable[[BankFile], bool]) -> int:
        return sum(1 for file in files if fits(file))

    unclear = count(lambda file: file.state is FileState.DELIVERING)
    ready = count(lambda file: file.state is FileState.APPROVED)
    unapproved = count(lambda file: file.state is FileState.EMITTED)
    away = next((result.about for result in results if result.away), "")
    if any(result.problem for result in results):
        return f"{sum(result.problem for result in results)} files need a person: see the exceptions"
    if away:
        return f"the bank's server: {away.removeprefix('not known yet: ')}: run deliver again"
    if unclear:
        return f"{unclear} files whose delivery is not known yet: run deliver"
    if ready and frame.settings.delivery.channel == BY_HAND:
        return f"{ready} files to be fetched from the outbox: then deliver --fetched FILE"
    if ready:
        return f"{ready} approved files: run deliver"
    return f"the approval of {unapproved} files: run approve" if unapproved else ""
