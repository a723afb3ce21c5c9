"""The terminals' journals are counted by themselves and held against the books."""

from terminal_sim.keys import tmk
from terminal_sim.terminal import Reply, Terminal
from terminal_sim.town_count import (
    SwitchPayment,
    count_journals,
    disagreements,
    terminal_disagreements,
)
from terminal_sim.town_plan import MIDNIGHT, make_plan
from terminal_sim.town_play import Message

PLAN = make_plan(1, 40)
TERMINAL = Terminal("T0000001", "M0001", tmk(1, "T0000001"))


def message(label: str, won: int, code: str, original: Message | None = None, cashback: int = 0) -> Message:
    fields = {39: code}
    if cashback:
        fields[48] = f"CB{len(str(cashback)):03d}{cashback}"
    return Message(label, 0, TERMINAL, b"", won, original, Reply("0210", code, fields, True))


def day() -> list[Message]:
    tea, feast = message("purchase", 5_000, "00", cashback=250), message("purchase", 90_000, "51")
    late = message("purchase", 7_000, "12")
    return [
        tea,
        message("repeat", 5_000, "00", tea, cashback=250),
        feast,
        message("reversal", 90_000, "00", feast),
        message("reversal_first", 7_000, "00", late),
        late,
        message("refund", 2_000, "00", tea),
        message("topup", 30_000, "00"),
    ]


CASHBACK = [{"funder": "city", "granted": 250, "taken_back": 100}]


def test_only_money_that_moved_is_counted() -> None:
    journals = count_journals(PLAN, day())
    assert (journals.sold, journals.returned, journals.topped_up) == (5_000, 2_000, 30_000)
    assert journals.cashback_told == 250
    assert journals.answers["purchase"] == {"00": 1, "12": 1, "51": 1}
    assert journals.entries == {"keyed": [1, 5_000]}
    assert disagreements(journals, [{"merchant": "M0001", "sales": 5_000, "refunds": 2_000}], CASHBACK) == []


def test_what_comes_after_midnight_is_the_next_days() -> None:
    last, first = (
        message("purchase", 3_000, "00", cashback=300),
        message("purchase", 4_000, "00", cashback=200),
    )
    last.minute, first.minute = MIDNIGHT - 1, MIDNIGHT
    journals = count_journals(PLAN, [*day(), last, first])
    assert (journals.sold, journals.cashback_told) == (8_000, 550)
    assert journals.midnight == {"before": [1, 3_000, 300], "after": [1, 4_000, 200]}
    assert journals.answers["purchase"]["00"] == 3


def test_of_a_gift_what_was_taken_counts() -> None:
    whole, part, refused = (message("gift", 5_000, code) for code in ("00", "10", "51"))
    assert part.reply is not None
    part.reply.fields[4] = f"{2_000:012d}"
    journals = count_journals(PLAN, [whole, part, refused])
    assert (journals.given, journals.sold) == (7_000, 0)
    assert journals.merchants["M0001"].sales == 7_000


def test_a_payment_that_only_one_side_knows_is_found() -> None:
    journals = count_journals(PLAN, day())
    (found,) = disagreements(journals, [{"merchant": "M0001", "sales": 0, "refunds": 0}], CASHBACK)
    assert found.startswith("M0001: its terminals saw sales 5,000")
    preview = [
        {"merchant": "M0001", "sales": 5_000, "refunds": 2_000},
        {"merchant": "M9999", "sales": 1, "refunds": 0},
    ]
    assert disagreements(journals, preview, CASHBACK) == ["M9999: in the books, but no terminal served it"]


def test_an_unlike_repeat_and_untold_cashback_are_found() -> None:
    messages = day()
    messages[1] = message("repeat", 5_000, "00", messages[0], cashback=251)
    preview = [{"merchant": "M0001", "sales": 5_000, "refunds": 2_000}]
    found = disagreements(count_journals(PLAN, messages), preview, [{**CASHBACK[0], "granted": 240}])
    assert found == [
        "the terminals told 250 won of cashback, granted are 240",
        "1 repeats were answered unlike their payment",
    ]


def stored(
    stan: str, won: int, code: str, kind: str = "purchase", terminal: str = "T0000001"
) -> SwitchPayment:
    return SwitchPayment(terminal, stan, kind, won, code)


def test_each_terminal_is_held_against_the_switch_message_by_message() -> None:
    day = [message("purchase", 5_000, "00"), message("purchase", 9_000, "63"), message("cancel", 5_000, "00")]
    for number, one in enumerate(day, 1):
        assert one.reply is not None
        one.reply.fields[11] = f"{number:06d}"
    agreed = [stored("000001", 5_000, "00"), stored("000003", 5_000, "00", "reversal")]
    assert terminal_disagreements(day, agreed) == []
    (missing,) = terminal_disagreements(day, agreed[1:])
    assert missing == "T0000001: purchase 000001 was approved, the switch has none"
    (other,) = terminal_disagreements(day, [stored("000001", 6_000, "00"), agreed[1]])
    assert "of 5,000 won was answered 00, the switch has 6,000 won and 00" in other
    (code,) = terminal_disagreements(day, [stored("000001", 5_000, "51"), agreed[1]])
    assert code.endswith("the switch has 5,000 won and 51")
    (unknown,) = terminal_disagreements(day, [*agreed, stored("000001", 1, "00", terminal="T0000002")])
    assert unknown == "T0000002: the switch has purchase 000001, the terminal knows nothing of it"
    many = [stored(f"{number:06d}", 1, "00", terminal="T0000003") for number in range(30)]
    assert terminal_disagreements([], many)[-1] == "… and 10 more of that kind"
