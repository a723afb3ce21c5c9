"""Settlement: from a business date that is over to the bank's file.

cli → pipeline → steps (close_day, expire_lots, credit_cashback, pay_merchants, emit_files)
→ store, reference, report → files (sans-IO) | domain (pure). It reads and books in the switch's tables; the
switch knows nothing of it.
"""
