"""Messages between terminals and the switch, without any I/O: bytes in, values out, and back.

From the cable inwards: `framing` cuts the stream into payloads. `dialect` says how a listener's terminals
write: `message` turns an ASCII payload into numbered fields after the one specification, which stands in
`spec` (the fields), `presence` (the messages) and `layout` (all the standard's fields, to step over); BCD is
unpacked to the same. `request` gives the fields names and types, with `batch` for terminal batches, and
`reply` builds answers. Fields with an inner structure: `elements` (DE35, DE90), `private` (DE48, DE54), `emv`
(DE55). `session` matches answers to requests, at the terminal's end; `redact` keeps card data out of logs;
`estate` is what terminals are told by MQTT. Nothing here opens a socket, reads a clock or knows a key.
"""
