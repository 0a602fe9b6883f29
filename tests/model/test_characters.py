"""What a reader cannot tell apart, and how it is told apart."""

from __future__ import annotations

import pytest

from reconciler.model.characters import apart, deceiving, is_hidden, look_alikes, skeleton


@pytest.mark.parametrize(
    "other",
    [
        "v1.3.0\u3164", "v1.3.0\ufe0f", "v1.\u200b3.0", "\u2800v1.3.0", "v1.3.0 ", "v1.3.0\xa0", "V1.3.0", "v1.3.O",
        "vl.3.0", "vI.3.0", "v1.3.\u041e", "v1.3.\u03bf", "\uff561.3.0", "\u03bd1.3.0", "v1.3.0\u00ad\U000e0041",
    ],
)  # fmt: skip
def test_what_looks_like_it(other: str) -> None:
    assert skeleton(other) == skeleton("v1.3.0")
    assert look_alikes(["v1.3.0", other, "v1.3.1"]) == [sorted(["v1.3.0", other])]


@pytest.mark.parametrize("other", ["v1.3.1", "v1.3.00", "v1.30", "v13.0", "w1.3.0", "\u6cf51.3.0"])
def test_what_does_not(other: str) -> None:
    assert look_alikes(["v1.3.0", other]) == []


def test_letters_of_other_alphabets() -> None:
    assert skeleton("\u0420\u0410\u0423\u0420\u0410\u04cf") == skeleton("PAYPAl")
    assert skeleton("\u0391\u0392\u0395\u0396\u0397") == skeleton("ABEZH")
    assert skeleton("u\u0308ber") == skeleton("\u00fcber")


def test_equal_names_are_one_and_many_are_quick_to_tell() -> None:
    assert look_alikes(["a", "a", "b"]) == look_alikes([]) == []
    assert look_alikes([f"pump-{number}" for number in range(2_000)]) == []
    assert look_alikes(["a\nb", "A\nb", "b"]) == [["A\nb", "a\nb"]]


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ("v1", "v1\u3164", "U+3164 HANGUL FILLER where this has nothing"),
        ("v1 ", "v1", "nothing where this has U+0020 SPACE"),
        ("xoy", "x\u00f8y", "U+00F8 LATIN SMALL LETTER O WITH STROKE where this has U+006F LATIN SMALL LETTER O"),
        ("va", "v\u0430", "U+0430 CYRILLIC SMALL LETTER A where this has U+0061 LATIN SMALL LETTER A"),
        ("v\ue000", "v", "nothing where this has U+E000"),
        ("-", "xxxxx", "U+0078 LATIN SMALL LETTER X + " * 4 + "… where this has U+002D HYPHEN-MINUS"),
    ],
)  # fmt: skip
def test_what_differs_is_told(one: str, other: str, told: str) -> None:
    assert apart(one, other) == told


def test_letters_signs_and_marks_are_seen() -> None:
    assert not any(map(is_hidden, "aé\u0308泵🚰→ß"))


@pytest.mark.parametrize("text", ["\u202ev1", "v1\u200b", "a\u2066b", "v1.3.0\ufe0f", "\u200d", "\u3164", "x\u00ady"])
def test_what_does_not_show_is_found(text: str) -> None:
    (places,) = deceiving(text).values()
    assert places == [next(at for at, char in enumerate(text) if not char.isascii())]


@pytest.mark.parametrize(
    "text",
    ["", "caf\u00e9 泵 🚰", "\u26a0\ufe0f careful", "👩\u200d🚀", "👩🏽\u200d🚀", "1\ufe0f\u20e3", "\u2194\ufe0f"],
)
def test_an_emoji_deceives_nobody(text: str) -> None:
    assert deceiving(text) == {}
