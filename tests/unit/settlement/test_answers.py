"""What a pain.002 means: file, batch and payment, the narrower word holds, contradictions are refused."""

import io

import pytest

from settlement.domain.answers import Answer, AnswerError, Asked, in_words, interpret
from settlement.files.pain002 import read
from tests.support.bank_messages import pain002

FILE = "DURE00001-20261120-01-000001"
ASKED = Asked(FILE, f"{FILE}-B1", {"A": 1_000, "B": 2_000, "C": 3_000})


def told(**answer: object) -> Answer:
    return interpret(read(io.BytesIO(pain002(FILE, **answer))), ASKED)  # type: ignore[arg-type]


def states(answer: Answer) -> dict[str, str]:
    return {one.end_to_end_id: one.state.value for one in answer.verdicts}


@pytest.mark.parametrize("code", ["ACCP", "ACTC", "ACSP", "ACSC", "ACWC"])
def test_the_whole_file_is_accepted(code: str) -> None:
    answer = told(group=code, count=3, total="6000.00")
    assert states(answer) == {"A": "accepted", "B": "accepted", "C": "accepted"}
    assert answer.whole


def test_the_whole_file_is_rejected_for_a_reason() -> None:
    answer = told(group="RJCT", group_reason="AM04")
    assert set(states(answer).values()) == {"rejected"}
    assert {one.reason for one in answer.verdicts} == {"AM04"}


def test_the_batch_speaks_for_its_payments() -> None:
    assert set(states(told(batch_status="RJCT")).values()) == {"rejected"}
    assert set(states(told(group="ACTC", batch_status="ACSP")).values()) == {"accepted"}


def test_payments_one_by_one() -> None:
    answer = told(group="PART", payments=[("A", "ACSC"), ("B", "RJCT", "AC04", 2_000)])
    assert states(answer) == {"A": "accepted", "B": "rejected"}
    assert answer.verdicts[1].reason == "AC04"
    assert not answer.whole


def test_the_narrower_word_holds() -> None:
    answer = told(group="ACCP", payments=[("B", "RJCT", "AC01"), ("C", "PDNG")])
    assert states(answer) == {"A": "accepted", "B": "rejected"}


def test_counts_say_that_the_rest_is_accepted() -> None:
    partial = {"group": "PART", "payments": [("B", "RJCT", "AC01")]}
    assert states(told(**partial)) == {"B": "rejected"}
    counted = told(**partial, per_status=[("ACSP", 2), ("RJCT", 1)])
    assert states(counted) == {"A": "accepted", "B": "rejected", "C": "accepted"}
    assert states(told(**partial, per_status=[("ACSP", 1), ("RJCT", 1)])) == {"B": "rejected"}


@pytest.mark.parametrize("code", ["PDNG", "RCVD", ""])
def test_no_word_yet(code: str) -> None:
    assert told(group=code).verdicts == ()


def test_what_is_not_the_files_is_listed_and_nothing_else_is_lost() -> None:
    answer = told(payments=[("X", "RJCT"), ("A", "RJCT", "AC04", 999), ("B", "ACCP")])
    assert states(answer) == {"B": "accepted"}
    assert len(answer.conflicts) == 2
    assert "X" in answer.conflicts[0]
    assert "999" in answer.conflicts[1]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"group": "ACCP", "count": 4}, "counts 4 payments"),
        ({"group": "ACCP", "total": 6_001}, "sums up 6,001"),
        ({"group": "ACCP", "batch": "OTHER-B1"}, "answers batch OTHER-B1"),
        ({"group": "WHAT"}, "no status"),
        ({"payments": [("A", "WHAT")]}, "no status"),
        ({"group": "RJCT", "payments": [("A", "ACCP")]}, "rejects the whole"),
        ({"group": "ACCP", "batch_status": "RJCT"}, "only batch"),
        ({"group": "RJCT", "batch_status": "ACSP"}, "only batch"),
        ({"payments": [("A", "ACCP"), ("A", "RJCT")]}, "both"),
        ({"group": "PART", "payments": [("A", "RJCT")], "per_status": [("RJCT", 2)]}, "counts 2 rejects"),
    ],
)
def test_what_cannot_be_true_is_refused(answer: dict[str, object], why: str) -> None:
    with pytest.raises(AnswerError, match=why):
        told(**answer)


@pytest.mark.parametrize("reason", ["AM05", "DU01", "DUPL"])
def test_a_refused_second_copy_says_nothing_of_the_first(reason: str) -> None:
    with pytest.raises(AnswerError, match="second copy"):
        told(group="RJCT", group_reason=reason)
    answer = told(group="PART", payments=[("A", "RJCT", reason), ("B", "RJCT", "AC04")])
    assert states(answer) == {"B": "rejected"}
    assert len(answer.conflicts) == 1


@pytest.mark.parametrize("general", ["RJCT", "ACCP"])
def test_no_general_word_holds_for_a_payment_that_is_in_dispute(general: str) -> None:
    """Owing again what may be paid, as its first copy or as another amount, would pay it twice."""
    answer = told(group=general, payments=[("A", "RJCT", "AM05"), ("B", "RJCT", "AC04", 999)])
    assert states(answer) == {"C": "rejected" if general == "RJCT" else "accepted"}
    assert len(answer.conflicts) == 2
    assert not answer.whole
    counted = told(group="PART", payments=[("A", "RJCT", "DU04")], per_status=[("ACSP", 2)])
    assert states(counted) == {"B": "accepted", "C": "accepted"}
    doubtful = told(group="PART", payments=[("A", "ACSP", "", 999)], per_status=[("ACSP", 3)])
    assert states(doubtful) == {}


def test_reasons_have_words() -> None:
    assert in_words("AC04") == "AC04 (the account is closed)"
    assert in_words("ZZ99") == "ZZ99"
    assert in_words("") == "no reason given"
