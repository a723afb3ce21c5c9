"""Payment crypto of the simulator and of simulated terminals: the only rooms that see a clear key.

tdes → mac, kcv, pvv, cvv, pinblock → lmk (keys at rest under the local master key).
"""
