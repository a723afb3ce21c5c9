"""What operators do with value in wallets: issue of campaigns, gifts, refunds of charged money, budgets."""
