"""Untrusted text does nothing but be read."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.render.inert import date_text, inert


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
        ("##teamcity[buildStop]", "#\\x23teamcity[buildStop]"),
        ("## heading [1]", "## heading [1]"),
        ("v1.3.0\u3164", "v1.3.0\\u3164"),
        ("v1.3.0\ufe0f", "v1.3.0\\ufe0f"),
        ("v1.3.0\u2800", "v1.3.0\\u2800"),
        ("v1.3.0\u115f\u1160\uffa0", "v1.3.0\\u115f\\u1160\\uffa0"),
        ("v1.3.0\xa0\u2003\u3000\u1680", "v1.3.0\\xa0\\u2003\\u3000\\u1680"),
        (
            "\ue000\U000f0000\u0378\U000e0100\u034f\u17b4\u180b",
            "\\ue000\\U000f0000\\u0378\\U000e0100\\u034f\\u17b4\\u180b",
        ),
        ("泵 🚰 é", "泵 🚰 é"),
    ],
)
def test_examples(text: str, shown: str) -> None:
    assert inert(text) == shown


def test_limit_counts_characters() -> None:
    assert inert("x" * 300, limit=10) == "x" * 9 + "…"


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from(":#[vso\x1b\n\u2028\u3164\ufe0f "))))
def test_never_acts(text: str) -> None:
    shown = inert(text)
    assert not any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for char in shown)
    assert not shown.lstrip().startswith("::")
    assert "##[" not in shown
    assert "##vso[" not in shown.lower()
    assert not any(unicodedata.category(char) == "Zs" and char != " " for char in shown)
    assert not set(shown) & set("\u3164\u115f\u1160\uffa0\u2800\ufe0f\u034f")
    assert shown.splitlines() in ([shown], [])


@pytest.mark.parametrize(
    ("date", "minutes", "with_seconds"),
    [
        ("2026-03-02T14:10:59.999Z", "2026-03-02 14:10Z", "2026-03-02 14:10:59Z"),
        ("2026-03-02T00:10:00+02:00", "2026-03-01 22:10Z", "2026-03-01 22:10:00Z"),
        ("9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59-14:00"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"),
        ("\x1b[31mnever", "\\x1b[31mnever", "\\x1b[31mnever"),
        (None, "", ""),
    ],
)
def test_a_past_date_has_one_style_and_what_is_none_stays(date: str | None, minutes: str, with_seconds: str) -> None:
    assert (date_text(date), date_text(date, seconds=True)) == (minutes, with_seconds)
