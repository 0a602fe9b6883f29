"""TLS over loopback: whom SSL_CERT_FILE and SSL_CERT_DIR trust, and certificates that are not of this time."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

pytest.importorskip("cryptography")
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from reconciler.errors import ConnectionFailed, ReconcilerError
from tests.api.speaking import APPLICATION, SECRET, api_over
from tests.support import processes

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


def write_certificate(folder: Path, begin: datetime, end: datetime, *, host: str = "localhost") -> tuple[Path, Path]:
    """A certificate that vouches for itself, and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "ca.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return certificate, secret


def ask(certificate: Path, key: Path) -> tuple[ReconcilerError | None, bytes]:
    """What one request to a TLS server on loopback ends in, and all that the server was sent."""
    heard = bytearray()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.readuntil(b"\r\n\r\n"))
        body = b'{"id": "%s", "name": "plant"}' % APPLICATION.encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async def go() -> ReconcilerError | None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
        url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
        async with server, api_over(lambda _: httpx.Response(500), url=url, transport=None) as api:
            try:
                await api.application()
            except ReconcilerError as error:
                return error
        return None

    return asyncio.run(go()), bytes(heard)


@pytest.fixture
def usual(tmp_path: Path) -> tuple[Path, Path]:
    return write_certificate(tmp_path, NOW - DAY, NOW + 100 * DAY)


@pytest.fixture
def folder_of_authorities(usual: tuple[Path, Path], tmp_path: Path) -> Path:
    """As c_rehash makes it."""
    folder = tmp_path / "certs"
    folder.mkdir()
    done = processes.run(["openssl", "x509", "-hash", "-noout", "-in", str(usual[0])], check=True)
    (folder / f"{done.stdout.strip()}.0").write_bytes(usual[0].read_bytes())
    return folder


def test_loopback_trusts_nobody_by_itself(usual: tuple[Path, Path]) -> None:
    error, heard = ask(*usual)
    assert isinstance(error, ConnectionFailed)
    assert "the certificate of localhost is not trusted" in str(error)
    assert "SSL_CERT_FILE" in str(error)
    assert heard == b""


def test_loopback_trusts_what_ssl_cert_file_says(usual: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(usual[0]))
    error, heard = ask(*usual)
    assert error is None
    assert SECRET.encode() in heard


def test_a_folder_of_authorities_counts_beside_a_file(
    usual: tuple[Path, Path], folder_of_authorities: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", f"/nowhere:{folder_of_authorities}")
    assert ask(*usual)[0] is None
    (tmp_path / "other").mkdir()
    other, _ = write_certificate(tmp_path / "other", NOW - DAY, NOW + DAY, host="other.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(other))
    assert ask(*usual)[0] is None


@pytest.mark.parametrize(
    ("begin", "end", "verdict", "remedy"),
    [
        (NOW + 100 * DAY, NOW + 200 * DAY, "is not yet valid", "this machine's clock may be wrong"),
        (NOW - 200 * DAY, NOW - 100 * DAY, "has expired", "this machine's clock may be wrong"),
    ],
)
def test_a_certificate_of_another_time_is_told_with_both_times(
    begin: datetime, end: datetime, verdict: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = write_certificate(tmp_path, begin, end)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    error, heard = ask(certificate, key)
    assert isinstance(error, ConnectionFailed)
    assert not error.outcome_unknown
    form = "%Y-%m-%dT%H:%M:%SZ"
    assert f"the certificate of localhost {verdict}: it is valid from {begin:{form}} to {end:{form}}, and " in str(
        error
    )
    assert "this machine's clock says 20" in str(error)
    assert remedy in str(error)
    assert SECRET.encode() not in heard
    assert b"uthorization" not in heard


def test_an_untimely_certificate_of_a_stranger_shows_no_times(tmp_path: Path) -> None:
    """Who is not trusted may say any time."""
    certificate, key = write_certificate(tmp_path, NOW + 100 * DAY, NOW + 200 * DAY)
    error, heard = ask(certificate, key)
    assert isinstance(error, ConnectionFailed)
    assert "valid from" not in str(error)
    assert heard == b""
