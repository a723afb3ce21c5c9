"""A programme as a folder of open files, and back into an empty system.

tables     which tables there are, and which of their rows are a programme's: one list for everything here
manifest   what a folder holds: rows and SHA-256 of each file, the schema's revision, the books' proof
export     one snapshot, streamed by COPY: gzip CSV or Parquet
restore    all or nothing: the manifest first, then the rows, then the same proof
columnar   CSV to Parquet and back, where pyarrow is installed
anonymous  payments for research, without members, cards and merchants
"""
