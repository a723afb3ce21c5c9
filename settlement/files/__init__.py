"""Bank files without I/O: names and identities, pain.001, and the controls on a finished file."""
