"""From a decision to its entries."""

from switch.domain.payment import Kind
from switch.ledger.chart import Account
from switch.ledger.postings import entries_of
from tests.unit.decide.world import Till, wallet


def test_a_topup_books_what_was_charged_even_if_the_batch_spends_it_before_the_entries_are_made() -> None:
    till = Till(wallet())
    till.send(Kind.TOPUP, 10_000)
    topup = till.last
    till.send(Kind.PURCHASE, 10_000)
    (entry,) = entries_of(topup)
    assert (entry.debit, entry.credit, entry.won) == (Account.SAFEGUARDED, Account.CARD_MONEY, 10_000)
