"""The switch's side of the HSM: no clear key ever comes here.

framing (length-prefixed frames) → commands (bodies, replies and error codes; sans-IO) → waiting (a command
without its answer yet) → link (one connection) → pool (one HSM or several: which one is asked) and calls (a
method per command) → client (both together: what the services call).
"""
