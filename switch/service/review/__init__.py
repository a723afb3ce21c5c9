"""Looking again: why a payment was answered so, what other rules would have given, what a wrong rule gave."""
