"""Untrusted text does nothing but be read."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.render.inert import inert


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pump-001", "pump-001"),
        ("Pumpe Süd", "Pumpe Süd"),
        ("a::b", "a::b"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("two\nlines\r\n", "two\\x0alines\\x0d\\x0a"),
        ("\x9b2J", "\\x9b2J"),
        ("abc\u202edcba", "abc\\u202edcba"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\ud800", "\\ud800"),
        ("\U000e0001", "\\U000e0001"),
        ("::error::boom", "\\x3a:error::boom"),
        ("  ::add-mask::x", "  \\x3a:add-mask::x"),
        ("x ##[error]boom", "x #\\x23[error]boom"),
        ("##vso[task.complete]", "#\\x23vso[task.complete]"),
    ],
)
def test_examples(text: str, shown: str) -> None:
    assert inert(text) == shown


def test_limit_counts_characters() -> None:
    assert inert("x" * 300, limit=10) == "x" * 9 + "…"


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from(":#[vso\x1b\n\u2028 "))))
def test_never_acts(text: str) -> None:
    shown = inert(text)
    assert not any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in shown)
    assert not shown.lstrip().startswith("::")
    assert "##[" not in shown
    assert "##vso[" not in shown.lower()
    assert shown.splitlines() in ([shown], [])
