"""The key ceremony: an LMK, and keys under it, from components that no single person knows all of.

`component` is one custodian's part, sealed by a passphrase; `forming` puts parts together; `audit` writes
down every act; `verbs` is the command line. OPERATING.md walks through it.
"""
