"""Become another program that does not outlive this one's parent. Runs alone, with nothing but Python.

usage: guard.py PIDFILE PROGRAM ARGUMENT...
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(pid_file: str, program: str, *arguments: str) -> None:
    """Ask the kernel to end this process with its parent, write down its number, and run the program in it."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(128 + signal.SIGTERM)
    descriptor = os.open(pid_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    os.close(descriptor)
    os.execv(program, [program, *arguments])  # noqa: S606 - the program and its arguments are the runner's own


if __name__ == "__main__":
    main(*sys.argv[1:])
