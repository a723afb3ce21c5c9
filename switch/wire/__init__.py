"""Messages between terminals and the switch, without any I/O: bytes in, values out, and back.

From the cable inwards: `framing` cuts the stream into payloads; `message` turns a payload into numbered
fields after `spec`, the one message specification; `request` gives them names and types and builds replies;
`private` holds the two fields with an inner structure (DE48, DE54); `session` matches answers to requests,
at the terminal's end; `redact` keeps card data out of logs. Nothing here opens a socket, reads a clock or
knows a key.
"""
