"""The port that the gateway listens on: taken early, so that a port in use is told before models are loaded."""

import errno
import socket

from voicectl.core.errors import ConfigError


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that has the address and does not listen yet; port 0 picks a free one.

    Raises ConfigError naming the address and what is wrong with it.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, proto)
    except OSError as error:
        raise ConfigError(f"{host}: {error.strerror or error}", hint="choose another address with --host") from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise _refused(host, port, error) from error
    listener.setblocking(False)
    return listener


def listen(listener: socket.socket) -> None:
    """Let a bound socket listen. Raises ConfigError when another process has begun to listen there meanwhile."""
    try:
        listener.listen()
    except OSError as error:
        host, port = listener.getsockname()[:2]
        raise _refused(host, port, error) from error


def _refused(host: str, port: int, error: OSError) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        return ConfigError(
            f"port {port} on {host} is in use",
            hint=f"see who holds it with `ss -ltnp 'sport = :{port}'`, or choose another with --port",
        )
    if error.errno == errno.EACCES:
        return ConfigError(f"port {port} on {host} needs privileges", hint="choose a port above 1023 with --port")
    return ConfigError(
        f"cannot listen on {host} port {port}: {error.strerror}", hint="choose another address with --host"
    )


def url_of(host: str, listener: socket.socket, *, secure: bool) -> str:
    """Return the URL of a socket that was bound for `host`."""
    scheme = "https" if secure else "http"
    port = listener.getsockname()[1]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
