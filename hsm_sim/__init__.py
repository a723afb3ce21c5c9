"""The HSM simulator: stands where a payShield-class HSM stands, under the published test LMK or its own.

crypto → keys → handlers (host commands) → server → paced (slow or faulty on purpose, by pace and faults);
ceremony makes an LMK and keys from custodians' components.
"""
