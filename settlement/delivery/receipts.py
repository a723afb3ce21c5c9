"""Whether the bank has named a file in an answer: then it has it, whatever our line said.

Only whether the file's MsgId stands in the answer as the original's (OrgnlMsgId) is looked at, in the raw
bytes: what the answer says of it is the next step's.
"""

import re
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, select

from settlement.delivery.channel import FILE_BYTES_MAX, is_answer
from settlement.settings import Files
from settlement.store.schema_bank import inbound_file

BLOCK_BYTES = 1 << 20
_ROOM = 512  # more than an element and its content are long


def naming(connection: Connection, files: Files, message_id: str, since: datetime) -> str:
    """The name of an answer that names the message, in the inbox or taken in since an instant; "" if none."""
    for path in _candidates(connection, files, since):
        if names(path, message_id):
            return path.name
    return ""


def names(path: Path, message_id: str) -> bool:
    """Whether a file names a message as the original it is about."""
    wanted = re.compile(rb"OrgnlMsgId\s*>\s*" + re.escape(message_id.encode()) + rb"\s*<")
    kept = b""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            return False
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                if wanted.search(kept + block):
                    return True
                kept = block[-_ROOM:]
    except FileNotFoundError:
        return False
    return False


def _candidates(connection: Connection, files: Files, since: datetime) -> list[Path]:
    if files.inbox.is_dir():
        waiting = sorted(one for one in files.inbox.iterdir() if one.is_file() and is_answer(one.name))
    else:
        waiting = []
    rows = connection.execute(
        select(inbound_file.c.archived)
        .where(inbound_file.c.received_at >= since)
        .order_by(inbound_file.c.inbound_no)
    )
    return waiting + [files.archive / row.archived for row in rows]
