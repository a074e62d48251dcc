"""A PostgreSQL server of the test's own: a cluster in a temporary folder, run by a user without rights."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

USER = "voicectl"


def binary(name: str) -> str | None:
    found = shutil.which(name)
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return found or (str(installed[0]) if installed else None)


class Postgres:
    """One server on loopback, with a password. It can be stopped, killed and started again."""

    def __init__(self, folder: Path) -> None:
        initdb, server = binary("initdb"), binary("postgres")
        if initdb is None or server is None:
            pytest.skip("PostgreSQL is not installed: it comes with Debian's package postgresql")
        self._server = server
        self._user = unprivileged()
        self._folder = folder
        self._child: subprocess.Popen[bytes] | None = None
        self.password = secrets.token_hex(12)
        self.password_file = folder / "password"
        self.password_file.write_text(f"{self.password}\n")
        self.password_file.chmod(0o644)
        if self._user is not None:
            folder.chmod(0o755)
            shutil.chown(folder, self._user)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self._run(
            initdb, "-D", str(folder / "data"), "-U", USER, "--auth=scram-sha-256", f"--pwfile={self.password_file}",
            "--encoding=UTF8", "--locale=C", "--no-sync",
        )  # fmt: skip

    @property
    def url(self) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        settings = ("fsync=off", "max_connections=20", "shared_buffers=16MB", f"unix_socket_directories={self._folder}")
        options = [option for setting in settings for option in ("-c", setting)]
        with (self._folder / "log").open("ab") as log:
            self._child = subprocess.Popen(
                [self._server, "-D", str(self._folder / "data"), "-h", "127.0.0.1", "-p", str(self.port), *options],
                stdout=log,
                stderr=log,
                user=self._user,
                cwd=self._folder,
            )
        deadline = time.monotonic() + 30
        while True:
            try:
                self.execute("SELECT 1")
                return
            except Exception:  # noqa: BLE001 - it does not answer yet
                if time.monotonic() > deadline or self._child.poll() is not None:
                    raise RuntimeError((self._folder / "log").read_text()) from None
                time.sleep(0.05)

    def stop(self) -> None:
        """End it at once, with all its connections."""
        if self._child is not None:
            self._child.send_signal(3)  # SIGQUIT: immediate shutdown
            self._child.wait(30)
            self._child = None

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Have all its processes stopped: it accepts connections and answers nothing."""
        assert self._child is not None
        pids = [self._child.pid, *_children(self._child.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def execute(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(
            host="127.0.0.1", port=self.port, user=USER, dbname="postgres", password=self.password, autocommit=True
        ) as connection:
            connection.execute(statement)  # type: ignore[call-overload] # statements of tests are plain strings

    def _run(self, *command: str) -> None:
        done = subprocess.run(command, user=self._user, cwd=self._folder, capture_output=True, timeout=120, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.decode())


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def unprivileged() -> str | None:
    """Return a user without rights where the tests run as root, whom the server refuses."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    pytest.skip("there is no user postgres or nobody to run the server as")


@contextmanager
def postgres() -> Iterator[Postgres]:
    # Not below the tests' own folder, which only their user may enter.
    folder = Path(tempfile.mkdtemp(prefix="voicectl-pg-", dir="/tmp"))
    try:
        server = Postgres(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
