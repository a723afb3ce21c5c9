"""Payment crypto of the simulator and of simulated terminals: the only rooms that see a clear key.

tdes, aes → mac, kcv, pvv, cvv, ibm3624, pinblock, dukpt (tdes, aes), emv → tr31 (key blocks) → lmk (keys at
rest under the local master key), uses (what a key may be used for).
"""
