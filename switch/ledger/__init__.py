"""The books as values: chart of accounts → entries → postings of a decision; the invariants of a proof."""
