"""Who may do what, and the chained record of who did it."""
