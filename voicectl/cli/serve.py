"""`voicectl serve`: the gateway in this terminal, until it is told to stop."""

import asyncio
import json as json_text
import os
import signal
import sys
import threading
from typing import Annotated, Final

import typer

from voicectl.cli.options import JsonOption, ProfileOption, SetOption, chosen_profile
from voicectl.cli.output import Output
from voicectl.core.errors import UsageError

app = typer.Typer(add_completion=False)

PRIVATE: Final = (
    *("access.anonymous=true", "access.check_keys=false", "audit.enabled=false"),
    *("governance.enforce=false", "governance.scoring=false"),
)


@app.command(
    "serve",
    epilog="Example: voicectl serve --profile cpu --port 8080",
    help="Answer calls at /v1/realtime until SIGTERM or Ctrl-C, then let live calls end.",
)
def serve_command(
    profile: ProfileOption = None,
    *,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Port; 0 picks a free one.")] = None,
    settings: SetOption = None,
    log_level: Annotated[
        str, typer.Option("--log-level", metavar="LEVEL", help="Least level logged: debug, info, warning, error.")
    ] = "info",
    json: JsonOption = False,
    private: Annotated[bool, typer.Option("--private", hidden=True)] = False,
) -> None:
    """Run the gateway. `--private` (of `talk`) also ends it when stdin is closed, however its parent went."""
    overrides = list(settings or ())
    overrides += [f"server.host={host}"] if host is not None else []
    overrides += [f"server.port={port}"] if port is not None else []
    # A gateway for one command listens on loopback for its parent alone: this host's keys are for another one.
    # And what it does belongs in nobody's audit log, is no traffic that the gate opens, and nothing to be scored.
    overrides += list(PRIVATE) if private else []
    chosen = chosen_profile(profile, overrides)
    output = Output(json=json)

    def ready(url: str) -> None:
        if json:
            # One line, so that a program can read it while the command goes on.
            sys.stdout.write(json_text.dumps({"url": url}) + "\n")
            sys.stdout.flush()
        else:
            output.note(f"ready: {url}/v1/realtime  (profile {chosen.name}; stop with Ctrl-C)")

    from voicectl.core.log import configure
    from voicectl.service.app import serve_forever
    from voicectl.service.governing.logs import log_redaction
    from voicectl.service.governing.open import open_redactor

    redactor = open_redactor(chosen.redaction)
    try:
        configure(
            json=json and not private,
            level=log_level,
            last=None if redactor is None else log_redaction(redactor),
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    if private:
        threading.Thread(target=_stop_with_stdin, name="parent-watch", daemon=True).start()
    elif not json:
        output.note(f"starting profile {chosen.name} …")
    asyncio.run(serve_forever(chosen, on_ready=ready, log_level=log_level, private=private))


def _stop_with_stdin() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
