"""The night's rules, pure: steps of a run, the credit of a wallet, the net of a merchant, bank days."""
