"""The rules of watching in a programme file: [[watch]]."""

import re

from switch.domain.money import PPM, WON_MAX
from switch.domain.toml_reader import Table
from switch.domain.toml_words import read_code
from switch.domain.watch import ACTIONS, KINDS, SUBJECTS, WINDOW_DAYS_MAX, Watch
from switch.domain.watch_repeats import KEPT_MAX
from switch.domain.watch_tickets import PAST_MAX
from switch.domain.watch_window import ENTRIES_MAX

WATCHES_MAX = 50
STOP_DAYS_MAX, QUIET_DAYS_MAX, NEW_DAYS_MAX, FACTOR_MAX = 90, 366, 366, 1_000

_SPAN = re.compile(r"([1-9]\d{0,4}) (s|min|h|d)")
_SPAN_FORM = 'a number and s, min, h or d, for example "30 min" or "7 d"'
_UNIT_S = {"s": 1, "min": 60, "h": 3_600}
_SPAN_S_MAX = 86_400

# kind → (subjects, windows: "d" days, "s" shorter ones; keys that it must have; keys that it may have)
_FORMS: dict[str, tuple[tuple[str, ...], str, tuple[str, ...], tuple[str, ...]]] = {
    "volume": (SUBJECTS, "ds", (), ("won", "count", "on_days")),
    "new_shop": (("shop",), "d", ("new_days",), ("won", "count", "on_days")),
    "repeats": (SUBJECTS, "s", ("count",), ("won", "similar")),
    "tickets": (("shop",), "d", ("times", "sample"), ("won", "count", "quantile")),
    "share": (("member",), "d", ("share", "won"), ("count",)),
    "after_topup": (("member",), "d", ("after", "round", "count"), ("won",)),
}


def read_watches(root: Table) -> tuple[Watch, ...]:
    """Every [[watch]]: what is looked for, over which window, from which figures on, and what follows."""
    found: list[Watch] = []
    for item in root.tables("watch", WATCHES_MAX, required=False):
        found.append(_watch(item, [one.code for one in found]))
        item.finish()
    return tuple(found)


def _watch(item: Table, taken: list[str]) -> Watch:
    code = read_code(item, taken)
    if "kind" not in item:
        item.report("", 'the key "kind" is missing', f"add kind = one of {', '.join(KINDS)}")
    kind = item.choice("kind", KINDS, KINDS[0])
    subjects, windows, must, may = _FORMS[kind]
    subject = item.choice("subject", subjects, subjects[0])
    seconds, days = _span(item, "window")
    if item.is_clean and ((days and "d" not in windows) or (seconds and "s" not in windows)):
        allowed = f"1 d to {WINDOW_DAYS_MAX} d" if windows == "d" else "seconds, minutes or hours, up to 24 h"
        item.report("window", f"{kind} looks at another kind of window", f"write {allowed}")
    figures = {key: _figure(item, key, key in must) for key in (*must, *may)}
    if kind in ("volume", "new_shop") and item.is_clean and not (figures["won"] or figures["count"]):
        item.report("", f"{kind} has no threshold", "add won = … or count = …")
    if figures.get("on_days", 0) and (not days or figures["on_days"] > days):
        item.report("on_days", "more days than the window has", "write fewer, or a longer window")
    action = item.choice("action", ACTIONS, ACTIONS[0])
    stop_days = item.integer("stop_days", 1, STOP_DAYS_MAX, fallback=None if action == "decline" else 0)
    if stop_days and action == "flag":
        fix = 'remove it, or write action = "decline"'
        item.report("stop_days", "a rule that only flags stops nobody", fix)
    return Watch(
        code=code,
        kind=kind,
        subject=subject,
        seconds=seconds,
        days=days,
        won=figures.get("won", 0),
        count=figures.get("count", 0),
        on_days=figures.get("on_days", 0),
        new_days=figures.get("new_days", 0),
        similar_ppm=figures.get("similar", 0),
        factor=figures.get("times", 0),
        quantile_ppm=figures.get("quantile", 0) or PPM // 2,
        sample=figures.get("sample", 0),
        share_ppm=figures.get("share", 0),
        round_won=figures.get("round", 0),
        after_s=figures.get("after", 0),
        action=action,
        stop_days=stop_days,
        quiet_days=item.integer("quiet_days", 1, QUIET_DAYS_MAX, fallback=7),
    )


def _span(item: Table, key: str) -> tuple[int, int]:
    """(seconds, days), one of them 0."""
    found = _SPAN.fullmatch(item.text(key, _SPAN, _SPAN_FORM))
    if found is None:
        return 1, 0
    number, unit = int(found.group(1)), found.group(2)
    if unit == "d":
        if number > WINDOW_DAYS_MAX:
            item.report(key, f"{number} days are too long", f"write at most {WINDOW_DAYS_MAX} d")
        return 0, number
    if number * _UNIT_S[unit] > _SPAN_S_MAX:
        item.report(key, "is longer than a day", 'write at most "24 h", or days')
    return number * _UNIT_S[unit], 0


_RANGES = {
    "won": (1, WON_MAX),
    "on_days": (1, WINDOW_DAYS_MAX),
    "new_days": (1, NEW_DAYS_MAX),
    "times": (2, FACTOR_MAX),
    "sample": (5, PAST_MAX),
    "round": (1_000, WON_MAX),
}


def _figure(item: Table, key: str, must: bool) -> int:
    if key in ("similar", "quantile", "share"):
        return item.rate(key) if must or key in item else 0
    if key == "after":
        seconds, days = _span(item, key)
        if days:
            item.report(key, "is too long", 'write at most "24 h"')
        return seconds
    if key == "count":
        repeats = item.value("kind", False, "") == "repeats"
        least, most = (2, KEPT_MAX) if repeats else (1, ENTRIES_MAX)
    else:
        least, most = _RANGES[key]
    return item.integer(key, least, most, None if must else 0)
