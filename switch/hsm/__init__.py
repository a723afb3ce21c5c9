"""The switch's side of the HSM: no clear key ever comes here.

framing (length-prefixed frames) → commands (bodies, replies and error codes; sans-IO) → link (one
connection) → client (what the services call).
"""
