"""The certificate of the gateway: loads it, refuses what is unsafe, and follows its files."""

import ssl
import stat
from pathlib import Path
from typing import Final

import structlog

from voicectl.core.errors import ConfigError
from voicectl.core.sections.access import Tls
from voicectl.service.access.watch import FileWatch

log = structlog.get_logger(__name__)

_READABLE_BY_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class TlsFiles:
    """A server context for TLS 1.2 and newer whose certificate is replaced while connections go on."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None, every_s: float) -> None:
        """Load the files. Raises ConfigError."""
        self._certificate = certificate
        self._key = key
        self._client_ca = client_ca
        self._watch: Final = FileWatch([certificate, key], self._reload, every_s)
        self.context: Final = self._loaded()

    @classmethod
    def of(cls, tls: Tls, every_s: float) -> "TlsFiles | None":
        """Return the certificate of a profile, None when it names none. Raises ConfigError."""
        if tls.certificate is None or tls.key is None:
            return None
        client_ca = None if tls.client_ca is None else Path(tls.client_ca)
        return cls(Path(tls.certificate), Path(tls.key), client_ca, every_s)

    def look(self) -> bool:
        """Load the files again if they changed; return whether they had."""
        return self._watch.look()

    async def watch(self) -> None:
        """Follow the files until cancelled."""
        await self._watch.run()

    def _reload(self) -> None:
        try:
            # Tried on a context of its own: a half-loaded pair would break the one in use.
            self._loaded()
            self._load_pair(self.context)
        except ConfigError as error:
            log.error("certificate_not_reloaded", error=error.message, hint=error.hint)
        else:
            log.info("certificate_reloaded", certificate=str(self._certificate))

    def _loaded(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._load_pair(context)
        if self._client_ca is not None:
            try:
                context.load_verify_locations(cafile=self._client_ca)
            except (OSError, ssl.SSLError) as error:
                raise ConfigError(
                    f"tls.client_ca {self._client_ca}: {_reason(error)}", hint="give a PEM file of certificates"
                ) from error
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _load_pair(self, context: ssl.SSLContext) -> None:
        try:
            mode = self._key.stat().st_mode
            if mode & _READABLE_BY_OTHERS:
                raise ConfigError(
                    f"tls.key {self._key}: mode {stat.S_IMODE(mode):04o} lets others than its owner at the private key",
                    hint=f"chmod 600 {self._key}",
                )
            context.load_cert_chain(self._certificate, self._key, password=_no_password)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"tls.certificate {self._certificate}, tls.key {self._key}: {_reason(error)}",
                hint="give PEM files of a certificate chain and its own key; check them with `openssl x509 -in FILE`",
            ) from error


def _no_password() -> str:
    raise ConfigError(
        "tls.key: the private key is encrypted, and nobody is there to type its password",
        hint="decrypt it with `openssl pkey -in KEY -out FILE` and chmod 600 FILE",
    )


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        # OpenSSL has no words for a file that holds nothing it knows.
        return error.reason.replace("_", " ").lower() if error.reason else "this is no PEM file of that kind"
    return error.strerror or str(error)
