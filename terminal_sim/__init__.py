"""Simulated terminals: scenarios, load, and the town of the demonstration. Knows the wire, nothing else."""
