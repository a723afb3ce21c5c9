"""Prize draws: announce (commitment of a seed) → close (the ticket list and its hash) → run → verify.

What each step publishes is a file; `verify` repeats the draw from the files alone.
"""
