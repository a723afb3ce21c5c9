"""The steps of a run, one a file, each safe to enter again; verify_cashback and prove are their controls."""
