"""The chart of accounts: the only accounts that may appear in an entry, and which pairs may meet.

An entry moves won from one account to another, so it names a debit and a credit account and one positive
amount: it cannot be unbalanced. What can still be wrong is the pair, so the pairs are a table as well.
Each account says which dimension (wallet lot, wallet, merchant, funder) an entry must carry for it.
"""

from enum import IntEnum


class Account(IntEnum):
    """Account numbers as stored. Assets and expenses 1xx, liabilities 2xx, income 3xx."""

    SAFEGUARDED = 101  # asset: members' prepaid money at the bank
    FUNDER_BANK = 102  # asset, by funder: what a funder has paid in ahead, in a bank account of its own
    OPERATOR_BANK = 103  # asset: the operator's own money at the bank
    FUNDER_DUE = 111  # asset, by funder: cashback that a funder owes to the programme
    MEMBER_RECEIVABLE = 121  # asset, by wallet: clawed-back cashback that was already spent
    CARD_MONEY = 201  # liability, by lot: charged money
    POINTS = 202  # liability, by lot: cashback credited
    GRANTS = 203  # liability, by lot: policy money (scholarships, relief money, grants of a campaign)
    COUPONS = 204  # liability, by lot: coupons, at the most that they may come to
    CASHBACK_ACCRUED = 211  # liability, by wallet: cashback promised, not yet credited
    MERCHANT_PAYABLE = 221  # liability, by merchant: sales not yet paid out
    MERCHANT_RESERVE = 222  # liability, by merchant: kept back from payouts as a security
    PAYOUT_SENT = 231  # liability, by merchant: paid out by file, not yet seen on the bank statement
    BANK_CLEARING = 232  # liability: on its way between two accounts at the bank, or announced by the bank
    TREASURY_RETURN = 241  # liability, by funder: unspent public money that goes back
    FUNDER_PREPAID = 243  # liability, by funder: what it has paid in and no cashback has used yet
    IN_TRANSIT = 251  # liability: on its way from one wallet to another; 0 at the end of every transaction
    VAT_DUE = 252  # liability, by merchant: value added tax on fees
    PAYOUT_RETURNED = 261  # liability, by merchant: a payout that came back, until a person has seen to it
    SUSPENSE = 262  # liability: on a bank statement, and nobody can say yet what it is
    FEE_INCOME = 301  # income: merchant fees
    ROUNDING = 302  # income, by merchant: what payouts in whole units leave over
    BANK_CHARGES = 401  # expense: what the bank takes


class Dimension(IntEnum):
    """What an entry must say about an account beside its number."""

    NONE = 0
    LOT = 1
    WALLET = 2
    MERCHANT = 3
    FUNDER = 4


DIMENSION: dict[Account, Dimension] = {
    Account.SAFEGUARDED: Dimension.NONE,
    Account.FUNDER_BANK: Dimension.FUNDER,
    Account.OPERATOR_BANK: Dimension.NONE,
    Account.FUNDER_DUE: Dimension.FUNDER,
    Account.MEMBER_RECEIVABLE: Dimension.WALLET,
    Account.CARD_MONEY: Dimension.LOT,
    Account.POINTS: Dimension.LOT,
    Account.GRANTS: Dimension.LOT,
    Account.COUPONS: Dimension.LOT,
    Account.CASHBACK_ACCRUED: Dimension.WALLET,
    Account.MERCHANT_PAYABLE: Dimension.MERCHANT,
    Account.MERCHANT_RESERVE: Dimension.MERCHANT,
    Account.PAYOUT_SENT: Dimension.MERCHANT,
    Account.BANK_CLEARING: Dimension.NONE,
    Account.TREASURY_RETURN: Dimension.FUNDER,
    Account.FUNDER_PREPAID: Dimension.FUNDER,
    Account.IN_TRANSIT: Dimension.NONE,
    Account.VAT_DUE: Dimension.MERCHANT,
    Account.PAYOUT_RETURNED: Dimension.MERCHANT,
    Account.SUSPENSE: Dimension.NONE,
    Account.FEE_INCOME: Dimension.NONE,
    Account.ROUNDING: Dimension.MERCHANT,
    Account.BANK_CHARGES: Dimension.NONE,
}

LOT_ACCOUNT: dict[str, Account] = {
    "charged": Account.CARD_MONEY,
    "points": Account.POINTS,
    "grant": Account.GRANTS,
    "coupon": Account.COUPONS,
}

_A = Account
ALLOWED: frozenset[tuple[Account, Account]] = frozenset(
    {
        # (debit, credit)                                # when
        (_A.SAFEGUARDED, _A.CARD_MONEY),  # top-up
        (_A.CARD_MONEY, _A.SAFEGUARDED),  # reversal of a top-up
        (_A.CARD_MONEY, _A.MERCHANT_PAYABLE),  # purchase with charged money
        (_A.POINTS, _A.MERCHANT_PAYABLE),  # purchase with points
        (_A.MERCHANT_PAYABLE, _A.CARD_MONEY),  # refund or reversal
        (_A.MERCHANT_PAYABLE, _A.POINTS),
        (_A.MERCHANT_PAYABLE, _A.TREASURY_RETURN),  # refund into a lot that has expired
        (_A.TREASURY_RETURN, _A.MERCHANT_PAYABLE),  # reversal of such a refund
        (_A.FUNDER_DUE, _A.CASHBACK_ACCRUED),  # cashback granted at the payment
        (_A.CASHBACK_ACCRUED, _A.FUNDER_DUE),  # cashback taken back
        (_A.FUNDER_DUE, _A.POINTS),  # points granted from a public budget
        (_A.CASHBACK_ACCRUED, _A.POINTS),  # nightly credit
        (_A.POINTS, _A.CASHBACK_ACCRUED),  # clawback from points
        (_A.CARD_MONEY, _A.CASHBACK_ACCRUED),  # clawback from the charged money being refunded
        (_A.CASHBACK_ACCRUED, _A.CARD_MONEY),  # reversal of a refund that had clawed it back from there
        (_A.MEMBER_RECEIVABLE, _A.CASHBACK_ACCRUED),  # clawback that nothing was left to pay
        (_A.CASHBACK_ACCRUED, _A.MEMBER_RECEIVABLE),  # a later credit pays the receivable off
        (_A.MERCHANT_PAYABLE, _A.FEE_INCOME),  # merchant fee
        (_A.FEE_INCOME, _A.MERCHANT_PAYABLE),  # fee given back on a negative net
        (_A.MERCHANT_PAYABLE, _A.PAYOUT_SENT),  # payout
        (_A.FUNDER_DUE, _A.GRANTS),  # issue of a campaign
        (_A.FUNDER_DUE, _A.COUPONS),
        (_A.GRANTS, _A.FUNDER_DUE),  # issue taken back, unspent
        (_A.COUPONS, _A.FUNDER_DUE),
        (_A.GRANTS, _A.MERCHANT_PAYABLE),  # purchase with policy money
        (_A.COUPONS, _A.MERCHANT_PAYABLE),
        (_A.MERCHANT_PAYABLE, _A.GRANTS),
        (_A.MERCHANT_PAYABLE, _A.COUPONS),
        (
            _A.GRANTS,
            _A.TREASURY_RETURN,
        ),  # expired: what is left goes to its funder, or to whom the policy says
        (_A.COUPONS, _A.TREASURY_RETURN),
        (_A.POINTS, _A.TREASURY_RETURN),
        (_A.CARD_MONEY, _A.TREASURY_RETURN),
        (_A.CARD_MONEY, _A.IN_TRANSIT),  # from one member to another
        (_A.IN_TRANSIT, _A.CARD_MONEY),
        (_A.POINTS, _A.IN_TRANSIT),
        (_A.IN_TRANSIT, _A.POINTS),
        (_A.POINTS, _A.FUNDER_DUE),  # correction of cashback that was too much
        (_A.CARD_MONEY, _A.FUNDER_DUE),
        (_A.MEMBER_RECEIVABLE, _A.FUNDER_DUE),
        (_A.FUNDER_DUE, _A.MEMBER_RECEIVABLE),  # of cashback that was too little: pays off what is owed
        # The night: fees, kept back, given, rounded.
        (_A.MERCHANT_PAYABLE, _A.VAT_DUE),
        (_A.VAT_DUE, _A.MERCHANT_PAYABLE),
        (_A.MERCHANT_PAYABLE, _A.MERCHANT_RESERVE),
        (_A.MERCHANT_RESERVE, _A.MERCHANT_PAYABLE),
        (_A.MERCHANT_PAYABLE, _A.ROUNDING),
        (_A.FUNDER_DUE, _A.MERCHANT_PAYABLE),  # a funder's subsidy to a merchant
        # Funders' own accounts.
        (_A.FUNDER_BANK, _A.FUNDER_PREPAID),  # paid in
        (_A.FUNDER_PREPAID, _A.FUNDER_BANK),  # paid back
        (_A.FUNDER_PREPAID, _A.FUNDER_DUE),  # used for a night's cashback
        (_A.FUNDER_DUE, _A.FUNDER_PREPAID),  # cashback taken back is the funder's again
        (_A.SAFEGUARDED, _A.FUNDER_DUE),  # a funder without prepayment pays what it owes
        # The bank's statement.
        (_A.PAYOUT_SENT, _A.SAFEGUARDED),  # a payout is booked
        (_A.PAYOUT_SENT, _A.MERCHANT_PAYABLE),  # a payout was rejected
        (_A.BANK_CLEARING, _A.PAYOUT_RETURNED),  # a return is announced
        (_A.SAFEGUARDED, _A.PAYOUT_RETURNED),  # a return is booked that nobody had announced
        (_A.PAYOUT_RETURNED, _A.MERCHANT_PAYABLE),  # a person has seen to it
        (_A.SAFEGUARDED, _A.BANK_CLEARING),
        (_A.BANK_CLEARING, _A.SAFEGUARDED),
        (_A.FUNDER_BANK, _A.BANK_CLEARING),
        (_A.BANK_CLEARING, _A.FUNDER_BANK),
        (_A.OPERATOR_BANK, _A.BANK_CLEARING),
        (_A.BANK_CLEARING, _A.OPERATOR_BANK),
        (_A.SAFEGUARDED, _A.SUSPENSE),
        (_A.SUSPENSE, _A.SAFEGUARDED),
        (_A.FUNDER_BANK, _A.SUSPENSE),
        (_A.SUSPENSE, _A.FUNDER_BANK),
        (_A.OPERATOR_BANK, _A.SUSPENSE),
        (_A.SUSPENSE, _A.OPERATOR_BANK),
        (_A.SUSPENSE, _A.FUNDER_PREPAID),  # a person has said what it is
        (_A.SUSPENSE, _A.FUNDER_DUE),
        (_A.SUSPENSE, _A.BANK_CLEARING),
        (_A.BANK_CLEARING, _A.SUSPENSE),
        (_A.BANK_CHARGES, _A.SUSPENSE),
    }
)
