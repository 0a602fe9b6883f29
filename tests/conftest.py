"""Every test runs in a scrubbed environment, with no network but loopback, and random tests that can be repeated."""

from __future__ import annotations

import gc
import ipaddress
import os
import socket
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support import warm

settings.register_profile("default", max_examples=50, deadline=None)
settings.register_profile(
    "ci",
    max_examples=200,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

SCRUBBED = {
    "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES", "NETRC",
    "CI", "GITHUB_ACTIONS", "GITLAB_CI", "TF_BUILD",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE", "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SOURCE_DATE_EPOCH",
    "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED",
}  # fmt: skip


def pytest_collection_finish() -> None:
    """What was collected stays to the end: the garbage collector need not walk through it again and again."""
    gc.collect()
    gc.freeze()


class NetworkRefused(AssertionError):
    """A test reached for the network. Not an OSError, so that no code under test takes it for a bad connection."""


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runs the installed command throughout, and no warm one."""
    monkeypatch.setattr(warm, "folder", lambda: warm.INSTALLED)


@pytest.fixture(autouse=True)
def scrubbed_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No token, proxy, colour or terminal setting of whoever runs the tests gets in."""
    for name in list(os.environ):
        if name.upper() in SCRUBBED or name.startswith(("LOSANT_", "RECONCILER_", "GIT_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TERM", "dumb")


def is_loopback(host: object) -> bool:
    """Whether an address stays on this machine; names other than localhost do not."""
    if isinstance(host, bytes):
        host = host.decode()
    if host in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections and name look-ups beyond loopback fail the test."""
    look_up = socket.getaddrinfo

    def guarded_look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        if not is_loopback(host):
            raise NetworkRefused(f"a test looked up {host!r}")
        return look_up(host, *args, **kwargs)

    def guard(name: str) -> None:
        connect = getattr(socket.socket, name)

        def guarded(self: socket.socket, address: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6) and not is_loopback(address[0]):
                raise NetworkRefused(f"a test connected to {address!r}")
            return connect(self, address)

        monkeypatch.setattr(socket.socket, name, guarded)

    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)
    guard("connect")
    guard("connect_ex")
