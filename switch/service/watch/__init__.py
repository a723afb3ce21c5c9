"""Watching for illegal discounting: the stream, history, and what people do with what was found.

`follow` is a process of its own beside the switch; `scan` reads a span of history with the same detectors;
`review` lists, shows and judges flags; `export` writes the evidence out.
"""
