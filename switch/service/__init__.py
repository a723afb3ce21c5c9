"""What the switch does: desk → door → authorizer → batch; cards and terminals, keys, imports, proofs."""
