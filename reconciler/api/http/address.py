"""The API's base URL, checked before a token is sent to it."""

from __future__ import annotations

import ipaddress

import httpx

from reconciler.errors import UsageError

DEFAULT_URL = "https://api.losant.com"


def api_url(text: str | None) -> str:
    """The base URL without a trailing slash; None or blank text gives Losant's own.

    Raises:
        UsageError: not a URL, plain http to another machine, or parts that do not belong in a base URL.
    """
    if text is None or not text.strip():
        return DEFAULT_URL
    text = text.strip()
    try:
        url = httpx.URL(text)
        problem = _problem(url, text)
    except (httpx.InvalidURL, ValueError):
        problem = "is not a valid URL"
    if problem:
        raise UsageError(f"the API URL {problem}", hint=f"set --api-url or LOSANT_API_URL, such as {DEFAULT_URL}")
    return str(url).rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a URL's host is this machine, judged by its text alone: 127.0.0.0/8, ::1, localhost."""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _problem(url: httpx.URL, text: str) -> str | None:
    """What is wrong with the URL; a password in it is not repeated."""
    if url.userinfo:
        return "must not contain a user name or password; set the token in LOSANT_API_TOKEN"
    if url.scheme not in ("http", "https") or not url.host:
        return "must start with https:// and have a host"
    if "?" in text or "#" in text:
        return "must not have a query string or fragment"
    if url.port is not None and not 0 < url.port < 65536:
        return f"has port {url.port}, which is not a valid port"
    if url.scheme == "http" and not is_loopback(url.host):
        return f"would send the token unencrypted to {url.host}: use https; plain http is for loopback only"
    return None
