"""[[watch]] in a programme file: what is read, what is refused, and that files without it keep their hash."""

import pytest

from switch.domain.programme_file import ProgrammeError, canonical_json, from_canonical, parse_programme
from switch.domain.programme_watch import read_watches
from switch.domain.toml_reader import Document
from switch.domain.watch import Watch, watch_sha256
from tests.unit.domain.test_programme_file import GOOD as TOWN

GOOD = """
[[watch]]
code = "much"
kind = "volume"
subject = "member"
window = "30 d"
won = 2_000_000

[[watch]]
code = "again"
kind = "repeats"
subject = "shop"
window = "10 min"
count = 3
similar = "5 %"
action = "decline"
stop_days = 3
quiet_days = 1
"""


def read(text: str) -> tuple[tuple[Watch, ...], list[str]]:
    document = Document(text, "city.toml")
    found = read_watches(document.root)
    document.root.finish()
    return found, [str(one) for one in document.problems]


def test_rules_are_read_with_their_windows_figures_and_what_follows() -> None:
    found, problems = read(GOOD)
    assert problems == []
    assert found == (
        Watch(code="much", kind="volume", subject="member", days=30, won=2_000_000),
        Watch(
            code="again", kind="repeats", subject="shop", seconds=600, count=3, similar_ppm=50_000,
            action="decline", stop_days=3, quiet_days=1,
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('kind = "volumes"\nwindow = "1 d"\nwon = 5', 'did you mean "volume"?'),
        ('kind = "volume"\nwindow = "1 d"', "has no threshold"),
        ('kind = "volume"\nwindow = "32 d"\nwon = 5', "at most 31 d"),
        ('kind = "volume"\nwindow = "25 h"\nwon = 5', "at most \"24 h\""),
        ('kind = "volume"\nwindow = "week"\nwon = 5', '"30 min" or "7 d"'),
        ('kind = "volume"\nwindow = "3 d"\nwon = 5\non_days = 4', "more days than the window has"),
        ('kind = "volume"\nwindow = "3 d"\nwon = 5\nsample = 9', 'unknown key "sample"'),
        ('kind = "share"\nsubject = "shop"\nwindow = "3 d"\nwon = 5\nshare = "9 %"', "use one of member"),
        ('kind = "repeats"\nwindow = "3 d"\ncount = 3', "another kind of window"),
        ('kind = "repeats"\nwindow = "3 min"\ncount = 1', "out of range"),
        ('kind = "volume"\nwindow = "1 d"\nwon = 5\naction = "decline"', '"stop_days" is missing'),
        ('kind = "volume"\nwindow = "1 d"\nwon = 5\nstop_days = 2', "stops nobody"),
        ('window = "1 d"\nwon = 5', 'the key "kind" is missing'),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_line_and_what_to_do(text: str, told: str) -> None:
    _, problems = read(f'[[watch]]\ncode = "x"\n{text}')
    assert any(told in one and one.startswith("city.toml:") for one in problems), problems


def test_a_programme_without_rules_keeps_its_hash_and_with_them_comes_back_as_it_was() -> None:
    text = TOWN
    plain = parse_programme(text, "city.toml")
    assert b"watches" not in canonical_json(plain)
    watched = parse_programme(text + GOOD, "city.toml")
    assert len(watched.watches) == 2
    assert from_canonical(canonical_json(watched)) == watched
    with pytest.raises(ProgrammeError, match="stands twice"):
        parse_programme(text + GOOD + GOOD, "city.toml")


def test_a_rules_hash_names_exactly_this_rule() -> None:
    one, two = read(GOOD)[0]
    assert watch_sha256(one) != watch_sha256(two)
    assert watch_sha256(one) == watch_sha256(read(GOOD)[0][0])
