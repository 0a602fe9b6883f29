"""Where a token comes from, and that it shows nowhere."""

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api.http.credentials import REMOVED, Token, find_token
from reconciler.errors import UsageError
from tests.api.speaking import SECRET

APPLICATION = "575ec8687ae143cd83dc4a97"
OWN = f"LOSANT_API_TOKEN_{APPLICATION}"


@pytest.mark.parametrize(
    ("environ", "source"),
    [
        ({"LOSANT_API_TOKEN": "common"}, "LOSANT_API_TOKEN"),
        ({"LOSANT_API_TOKEN": "common", OWN: "own"}, OWN),
        ({"LOSANT_API_TOKEN": "common", OWN.upper(): "own"}, OWN.upper()),
        ({"LOSANT_API_TOKEN": "common", OWN: ""}, "LOSANT_API_TOKEN"),
        ({"LOSANT_API_TOKEN": "common", OWN: " \n"}, "LOSANT_API_TOKEN"),
        ({"LOSANT_API_TOKEN": "common", "LOSANT_API_TOKEN_" + "0" * 24: "other"}, "LOSANT_API_TOKEN"),
    ],
)
def test_the_applications_own_variable_wins(environ: dict[str, str], source: str) -> None:
    found = find_token(environ, APPLICATION)
    assert found.source == source
    assert found.header == f"Bearer {'common' if source == 'LOSANT_API_TOKEN' else 'own'}"


def test_an_id_in_upper_case_finds_its_variable() -> None:
    assert find_token({OWN: "own"}, APPLICATION.upper()).header == "Bearer own"


def test_the_file_wins_over_every_variable_and_may_end_in_a_newline(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_bytes(b"\xef\xbb\xbf  from-file\r\n")
    found = find_token({OWN: "own", "LOSANT_API_TOKEN": "common"}, APPLICATION, token_file=str(path))
    assert found.header == "Bearer from-file"
    assert found.source == f"--token-file {path}"


def test_no_token_names_the_variables() -> None:
    with pytest.raises(
        UsageError, match=f"no API token.*{APPLICATION}.*{OWN} or LOSANT_API_TOKEN, or pass --token-file"
    ):
        find_token({}, APPLICATION)


def test_an_empty_variable_is_pointed_out() -> None:
    with pytest.raises(UsageError, match="LOSANT_API_TOKEN is empty"):
        find_token({"LOSANT_API_TOKEN": ""}, APPLICATION)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Bearer sEcReT-text", "must not start with the word Bearer"),
        ("sEcReT text", "white space"),
        ("sEcReT\ntext", "line breaks"),
        ("sEcReT\u00a0text", "non-ASCII"),
        ("sEcReTé", "non-ASCII"),
        ("sEcReT\x00text", "control characters"),
        ("sEcReT\x1b[31m", "control characters"),
        ("sEcReT\x7f", "control characters"),
        ("sEcReT\udcff", "non-ASCII"),
    ],
)
def test_a_token_that_cannot_be_one_is_refused_without_being_shown(text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as raised:
        find_token({"LOSANT_API_TOKEN": text}, APPLICATION)
    assert "LOSANT_API_TOKEN" in str(raised.value)
    assert "sEcReT" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"\xff\xfes\x00", "not UTF-8"),
        (b"x" * 70_000, "too large"),
    ],
)
def test_a_file_that_holds_no_token(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=problem) as raised:
        find_token({}, APPLICATION, token_file=str(path))
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("name", ["missing", ".", "nul\0"])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="--token-file"):
        find_token({"LOSANT_API_TOKEN": "common"}, APPLICATION, token_file=str(tmp_path / name))


def test_the_text_shows_in_no_form() -> None:
    token = Token(SECRET, source="LOSANT_API_TOKEN")
    shown = [repr(token), str(token), f"{token}", f"{token}", repr([token]), f"{token!r:>50}"]
    assert not any(SECRET in text or "eyJ" in text for text in shown)
    assert all("LOSANT_API_TOKEN" in text for text in shown)
    for copying in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            copying(token)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"token {SECRET} is bad", f"token {REMOVED} is bad"),
        (f"{SECRET}{SECRET}", f"{REMOVED}{REMOVED}"),
        (f"cut off: {SECRET[:30]}", f"cut off: {REMOVED}"),
        (f"{SECRET[20:50]}…", f"{REMOVED}…"),
        ("nothing to see, eyJhbG", "nothing to see, eyJhbG"),
        ("", ""),
    ],
)
def test_redaction_takes_the_token_and_its_pieces(text: str, kept: str) -> None:
    assert Token(SECRET, source="x").redact(text) == kept


@given(st.lists(st.sampled_from([SECRET, SECRET[:15], SECRET[-14:], SECRET[5:40], "Error ", "é", "[", "eyJ"])))
def test_redacted_text_holds_no_run_of_the_token(parts: list[str]) -> None:
    redacted = Token(SECRET, source="x").redact("".join(parts))
    assert not any(SECRET[start : start + 12] in redacted for start in range(len(SECRET) - 11))


def test_a_short_token_is_redacted_whole() -> None:
    assert Token("abc", source="x").redact("xabcx") == f"x{REMOVED}x"


ECHOES: dict[str, Callable[[str], str]] = {
    "every character": lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    "in capitals": lambda text: "".join(f"\\u{ord(char):04X}" for char in text),
    "the first": lambda text: f"\\u{ord(text[0]):04x}" + json.dumps(text[1:])[1:-1],
    "the last": lambda text: json.dumps(text[:-1])[1:-1] + f"\\u{ord(text[-1]):04x}",
    "as JSON has to": lambda text: json.dumps(text)[1:-1],
    "as JSON may": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
@pytest.mark.parametrize("text", [SECRET, 'a/token"with\\all-that-json-escapes/'])
@pytest.mark.parametrize("before", ["", "é \\n\\u00e9\\ud83d\\ude00 ", "C:\\\\"])
def test_a_token_is_found_however_json_spells_it(before: str, text: str, echo: Callable[[str], str]) -> None:
    body = f'{{"name": "{before}{echo(text)}"}}'
    assert json.loads(body)["name"].endswith(text)
    assert Token(text, source="test").is_in(body.encode())
    assert not Token(text + "!", source="test").is_in(body.encode())


def test_text_that_only_looks_like_an_escape_is_no_token() -> None:
    assert not Token("abcdefghijklmn", source="test").is_in(rb'"\\u0061bcdefghijklmn"')
