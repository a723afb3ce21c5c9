"""A rule, and what it found, in words that an official can read."""

from switch.domain.toml_reader import percent
from switch.domain.watch import Watch


def in_words(watch: Watch) -> str:
    """The rule as one sentence."""
    span = _span(watch)
    who = "a member" if watch.subject == "member" else "a shop"
    if watch.kind == "volume":
        return f"{who} with {_thresholds(watch)} within {span}"
    if watch.kind == "new_shop":
        return (
            f"a shop that joined less than {watch.new_days} days ago, with {_thresholds(watch)} within {span}"
        )
    if watch.kind == "repeats":
        alike = f"amounts no more than {percent(watch.similar_ppm)} apart"
        least = f" of {watch.won:,} won or more" if watch.won else ""
        return f"the same member at the same shop {watch.count} times{least} within {span}, {alike}"
    if watch.kind == "tickets":
        usual = f"the {percent(watch.quantile_ppm)} quantile of its last tickets (at least {watch.sample})"
        least = f" and {watch.won:,} won or more" if watch.won else ""
        return (
            f"a shop with {max(watch.count, 1)} tickets of {watch.factor} times {usual}{least} within {span}"
        )
    if watch.kind == "share":
        often = f" in {watch.count} payments or more" if watch.count else ""
        share = f"{percent(watch.share_ppm)} or more of {watch.won:,} won or more"
        return f"a member who spends {share} at one shop{often} within {span}"
    return (
        f"a member with {watch.count} payments of whole multiples of {watch.round_won:,} won"
        f"{f', each {watch.won:,} won or more,' if watch.won else ''} no later than {watch.after_s:,} seconds"
        f" after a top-up, within {span}"
    )


def _span(watch: Watch) -> str:
    if watch.days:
        return f"{watch.days} local days" if watch.days > 1 else "one local day"
    return f"{watch.seconds:,} seconds"


def _thresholds(watch: Watch) -> str:
    parts = [f"{watch.won:,} won or more"] if watch.won else []
    parts += [f"{watch.count:,} payments or more"] if watch.count else []
    text = " and ".join(parts)
    return f"{text} on each of {watch.on_days} days" if watch.on_days else text
