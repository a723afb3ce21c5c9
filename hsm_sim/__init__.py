"""The HSM simulator: stands where a payShield-class HSM stands, under the published test LMK."""
