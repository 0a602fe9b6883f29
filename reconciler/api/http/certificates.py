"""Which certificates are trusted, as the environment says, and what one says about the time."""

from __future__ import annotations

import contextlib
import os
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx

from reconciler.errors import UsageError

NOT_YET_VALID: Final = 9
EXPIRED: Final = 10
"""OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED."""
_NO_CHECK_TIME: Final = 0x200000  # OpenSSL's X509_V_FLAG_NO_CHECK_TIME
_PROBE_S: Final = 10.0


def trusted() -> ssl.SSLContext:
    """The authorities of SSL_CERT_FILE and SSL_CERT_DIR, or those that come with httpx.

    Raises:
        UsageError: one of these variables, or SSLKEYLOGFILE, names something that cannot be used.
    """
    file, folders = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    _check_key_log()
    if folders and not any(Path(folder).is_dir() for folder in folders.split(os.pathsep)):
        raise UsageError(f"SSL_CERT_DIR {folders}: there is no such folder", hint="name a folder with certificates")
    try:
        if file or folders:
            return ssl.create_default_context(cafile=file or None, capath=folders or None)
        return httpx.create_ssl_context(trust_env=False)
    except OSError as error:
        not_pem = isinstance(error, ssl.SSLError)
        reason = "it holds no certificate in PEM format" if not_pem else error.strerror or str(error)
        place = f"SSL_CERT_FILE {file}" if file else "the certificates that come with httpx"
        raise UsageError(f"{place}: {reason}", hint="SSL_CERT_FILE names a PEM file with authorities") from None


def _check_key_log() -> None:
    """Python opens SSLKEYLOGFILE for every context, and its error looks like one of the certificates."""
    path = os.environ.get("SSLKEYLOGFILE")
    if path:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).keylog_filename = path
        except OSError as error:
            hint = "unset it, or name a file that can be written"
            raise UsageError(f"SSLKEYLOGFILE {path}: {error.strerror or error}", hint=hint) from None


async def validity(url: httpx.URL, proxy: httpx.Proxy | None) -> tuple[datetime, datetime] | None:
    """From when until when the server's certificate is valid, whatever time it is; None if that is not to be learned.

    The certificate is verified in all other respects. The request has no token, and its response is not read.
    """
    context = trusted()
    context.verify_flags |= _NO_CHECK_TIME
    with contextlib.suppress(httpx.HTTPError, OSError, KeyError, ValueError):
        async with (
            httpx.AsyncClient(verify=context, proxy=proxy, trust_env=False, timeout=_PROBE_S) as http,
            http.stream("GET", url) as response,
        ):
            certificate = response.extensions["network_stream"].get_extra_info("ssl_object").getpeercert()
            return _time(certificate["notBefore"]), _time(certificate["notAfter"])
    return None


def _time(text: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC)
