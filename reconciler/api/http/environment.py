"""The way to a server, as the environment says: through which proxy, and with which certificates.

httpx reads the same variables. But it cannot say which of them is wrong, repeats parts of a proxy's password in its
errors, and fails on networks and bracketed addresses in NO_PROXY. So it is given the way, and told to read none.
"""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from importlib.util import find_spec
from typing import NamedTuple
from urllib.request import getproxies

import httpx

from reconciler.api.http.address import is_loopback
from reconciler.api.http.certificates import trusted
from reconciler.errors import UsageError

_RULE = re.compile(
    r"(?:(?P<scheme>\w+)://)?(?:\[(?P<v6>[^]]*)\](?P<size>/\d+)?|(?P<name>[^:]*|.*:.*:.*))(?::(?P<port>\d+))?"
)
_PORTS = {"http": 80, "https": 443}


class Way(NamedTuple):
    """Arguments for an HTTP client, besides `trust_env=False`."""

    verify: ssl.SSLContext | bool
    proxy: httpx.Proxy | None


def way_to(url: httpx.URL) -> Way:
    """The way to a server. Loopback bypasses any proxy, which could not reach it and would see tokens in plain text.

    Raises:
        UsageError: a variable that cannot be used, by name; its value is not repeated where it may hold a password.
    """
    context = trusted() if url.scheme == "https" else None  # without TLS no certificates need to be loaded
    return Way(context or False, None if is_loopback(url.host) else _proxy(url, context))


def _proxy(url: httpx.URL, context: ssl.SSLContext | None) -> httpx.Proxy | None:
    settings = getproxies()  # of the system, too, on macOS and Windows
    kind = url.scheme if settings.get(url.scheme) else "all"
    text = settings.get(kind)
    if not text or bypasses(settings.get("no", ""), url):
        return None
    try:
        proxy = httpx.Proxy(text if "://" in text else f"http://{text}")
        problem = _problem(proxy)
    except (httpx.InvalidURL, ValueError):
        problem = "is not the URL of a proxy"
    if problem:
        hint = "write it as http://HOST:PORT or http://USER:PASSWORD@HOST:PORT, special characters as %2F for /"
        raise UsageError(f"{_variable(kind, text)} {problem}", hint=hint)
    if proxy.url.scheme == "https":
        proxy.ssl_context = context or trusted()
    return proxy


def _problem(proxy: httpx.Proxy) -> str | None:
    """What is wrong with the proxy's URL. A path is usually the rest of a password that was not encoded."""
    url = proxy.url
    if url.scheme.startswith("socks") and find_spec("socksio") is None:
        return "is a SOCKS proxy, which needs the package socksio"
    if not url.host or url.path not in ("", "/") or url.query or url.fragment:
        return "is not the URL of a proxy"
    return None


def _variable(kind: str, text: str) -> str:
    """The name of the variable that holds the setting; lower case wins, as in `getproxies`."""
    names = (f"{kind}_proxy", f"{kind}_PROXY".upper())
    return next((name for name in names if os.environ.get(name) == text), "the system's proxy setting")


def bypasses(rules: str, url: httpx.URL) -> bool:
    """Whether NO_PROXY excepts a server: `*`, names with their subdomains, addresses and networks, each with a port."""
    return any(_excepts(rule, url) for rule in re.split(r"[,\s]+", rules.lower()) if rule)


def _excepts(rule: str, url: httpx.URL) -> bool:
    found = _RULE.fullmatch(rule)
    if rule == "*" or found is None:
        return rule == "*"
    if found["scheme"] not in (None, "all", url.scheme):
        return False
    if found["port"] and int(found["port"]) != (url.port or _PORTS.get(url.scheme)):
        return False
    name = found["name"] if found["v6"] is None else found["v6"] + (found["size"] or "")
    host = url.host.lower().rstrip(".")
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(name, strict=False)
    except ValueError:
        name = name.removeprefix("*").strip(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))
