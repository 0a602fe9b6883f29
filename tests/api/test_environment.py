"""The way to a server, by the variables for proxies: which proxy, when none, and no secret in what is wrong."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from reconciler.api.http.environment import bypasses, way_to
from reconciler.errors import UsageError
from reconciler.simulator import serve
from tests.support.cli import run_here

API = httpx.URL("https://api.losant.com")
PROXY = "http://proxy.example:3128"


def proxy_for(url: str) -> str | None:
    proxy = way_to(httpx.URL(url)).proxy
    return str(proxy.url) if proxy else None


@pytest.mark.parametrize(
    ("rules", "url", "direct"),
    [
        ("", "https://api.losant.com", False),
        ("*", "https://api.losant.com", True),
        ("losant.com", "https://api.losant.com", True),
        (".losant.com", "https://api.losant.com", True),
        ("*.losant.com", "https://api.losant.com", True),
        ("API.LOSANT.COM", "https://api.losant.com", True),
        ("api.losant.com", "https://API.losant.com.", True),
        ("localhost, api.losant.com", "https://api.losant.com", True),
        ("localhost api.losant.com", "https://api.losant.com", True),
        ("osant.com", "https://api.losant.com", False),
        ("api.losant.com.evil.example", "https://api.losant.com", False),
        ("api.losant.com:443", "https://api.losant.com", True),
        ("api.losant.com:8443", "https://api.losant.com", False),
        ("api.losant.com:8443", "https://api.losant.com:8443", True),
        ("https://api.losant.com", "https://api.losant.com", True),
        ("http://api.losant.com", "https://api.losant.com", False),
        ("all://api.losant.com", "https://api.losant.com", True),
        ("10.0.0.1", "https://10.0.0.1", True),
        ("10.0.0.0/8", "https://10.1.2.3", True),
        ("10.1.2.3/8", "https://10.200.0.1", True),
        ("10.0.0.0/8", "https://11.0.0.1", False),
        ("10.0.0.0/8", "https://[fd00::1]", False),
        ("::1", "https://api.losant.com", False),
        ("fd00::1", "https://[fd00::1]", True),
        ("[fd00::1]", "https://[fd00::1]", True),
        ("[fd00:0::1]:443", "https://[fd00::1]", True),
        ("[fd00::1]:8443", "https://[fd00::1]", False),
        ("fd00::/8", "https://[fd12::1]:8443", True),
        ("[fd00::]/8", "https://[fd12::1]", True),
        ("fe80::/10", "https://[fd12::1]", False),
        ("[::1", "https://api.losant.com", False),
        ("]:x,/,.,://,*:*", "https://api.losant.com", False),
        (",,[::1],fe80::/10,10.0.0.0/8,.losant.com,", "https://api.losant.com", True),
    ],
)
def test_no_proxy(rules: str, url: str, direct: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bypasses(rules, httpx.URL(url)) is direct
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", rules)
    assert proxy_for(url) == (None if direct else PROXY)


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": PROXY}, PROXY),
        ({"HTTPS_PROXY": "proxy.example:3128"}, PROXY),
        ({"HTTPS_PROXY": f"{PROXY}/"}, f"{PROXY}/"),
        ({"HTTPS_PROXY": "http://user:s3cr%2Fet@proxy.example:3128"}, PROXY),
        ({"HTTPS_PROXY": "https://proxy.example"}, "https://proxy.example"),
        ({"ALL_PROXY": PROXY}, PROXY),
        ({"ALL_PROXY": "http://other.example", "HTTPS_PROXY": PROXY}, PROXY),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://other.example"}, PROXY),
        ({"HTTP_PROXY": PROXY}, None),
        ({"HTTPS_PROXY": ""}, None),
    ],
)
def test_the_proxy(variables: dict[str, str], proxy: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(str(API)) == proxy
    assert proxy_for("https://127.0.0.1:8443") is None
    assert proxy_for("http://localhost:8080") is None


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    "value",
    [
        "http://user:s3cr/et@h",
        "http://user:33/s3cret@h:3128",
        "http://user:s3cr#et@h",
        "http://user:33?s3cret@h",
        "user:s3cr/et@h:3128",
        "gopher://user:s3cret@h",
        "http://user:s3cret@h:port",
        "http://user:s3cret@[::1",
        "http://user:s3cret@h/path",
        "socks5://user:s3cret@h",
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_and_its_password_is_not(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError) as raised:
        way_to(API)
    text = str(raised.value)
    assert text.startswith(f"Error: {name} is ")
    assert not [part for part in ("s3c", "et@", "user:", "33") if part in text]
    assert raised.value.__context__ is None


def test_a_proxy_that_is_not_used_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:s3cr/et@h")
    monkeypatch.setenv("NO_PROXY", "losant.com")
    assert proxy_for(str(API)) is None


def test_an_https_proxy_is_verified_by_the_same_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "https://proxy.example")
    way = way_to(API)
    assert way.proxy is not None
    assert way.proxy.ssl_context is way.verify


def test_every_command_names_the_variable_and_keeps_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m.yaml").write_text("apiVersion: reconciler/v1\napplication: 5f0c8a1b2d3e4f5061728394\n")
    monkeypatch.setenv("LOSANT_API_TOKEN", "a-token-that-goes-nowhere")
    monkeypatch.setenv("LOSANT_API_URL", "https://api.example.test")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:s3cr/et@h")
    for command in ("plan", "status"):
        ended = run_here(command, str(tmp_path / "m.yaml"))
        assert ended.code == 1
        assert ended.err.startswith("Error: HTTPS_PROXY is not the URL of a proxy")
        assert "s3c" not in ended.out + ended.err


def test_no_form_of_no_proxy_stops_a_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fleet = "applications: [{name: A, flows: {f: [v1]}, devices: [{name: pump-1, deployed: {f: v1}}]}]"
    monkeypatch.setenv("NO_PROXY", "[::1],fe80::/10,[fd00::]/8,10.0.0.0/8,*:x,://,]")
    with serve(fleet) as server:
        text = f"apiVersion: reconciler/v1\napplication: {server.application_id}\n"
        (tmp_path / "m.yaml").write_text(text + "devices: {pump-1: {f: v1}}\n")
        monkeypatch.setenv("LOSANT_API_TOKEN", server.token)
        for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
            ended = run_here("--api-url", url, "plan", str(tmp_path / "m.yaml"))
            assert ended.code == 0, ended.err
