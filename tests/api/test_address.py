"""Which URLs a token may be sent to."""

import pytest

from reconciler.api.http.address import api_url
from reconciler.errors import UsageError


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (None, "https://api.losant.com"),
        ("", "https://api.losant.com"),
        ("https://api.losant.com/", "https://api.losant.com"),
        (" https://losant.example.com:8443/api/ ", "https://losant.example.com:8443/api"),
        ("HTTPS://API.Losant.com", "https://api.losant.com"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.8.9.1", "http://127.8.9.1"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://LOCALHOST", "http://localhost"),
    ],
)
def test_a_good_url(text: str | None, url: str) -> None:
    assert api_url(text) == url


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("http://api.losant.com", "unencrypted"),
        ("http://localhost.example.com", "unencrypted"),
        ("http://127.0.0.1.example.com", "unencrypted"),
        ("http://10.0.0.1", "unencrypted"),
        ("http://0.0.0.0", "unencrypted"),
        ("http://[::ffff:10.0.0.1]", "unencrypted"),
        ("https://user:hunter2@api.losant.com", "user name or password"),
        ("http://127.0.0.1@evil.example", "user name or password"),
        ("https://api.losant.com?access_token=hunter2", "query string"),
        ("https://api.losant.com?", "query string"),
        ("https://api.losant.com#x", "fragment"),
        ("api.losant.com", "https://"),
        ("ftp://api.losant.com", "https://"),
        ("https://", "https://"),
        ("https:///path", "https://"),
        ("https://api.losant.com:99999999", "port 99999999"),
        ("https://api.losant.com:port", "not a valid URL"),
        ("https://api\x00.losant.com", "not a valid URL"),
        ("https://[::1", "not a valid URL"),
    ],
)
def test_a_bad_url_is_named_and_its_secrets_are_not(text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as raised:
        api_url(text)
    assert "hunter2" not in str(raised.value)
    assert "--api-url or LOSANT_API_URL" in str(raised.value)
