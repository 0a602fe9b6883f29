"""Characters that deceive: what shows nothing, what looks like something else, and how to say what differs."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping

# Controls, formats, surrogates, private use, unassigned, line and paragraph separators; and every space but U+0020.
_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
# Assigned and of another category, and yet nothing to see: Default_Ignorable_Code_Point of Unicode's
# DerivedCoreProperties, and what is blank by design (the empty Braille pattern, a note without a head).
# It is compiled when text has such characters at all, as the other below.
_BLANK = (
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164"
    "\ufe00-\ufe0f\uffa0\ufffc\U0001d159\U00016fe4\U000e0100-\U000e01ef]"
)
# Letters, dashes, strokes and dots that look like one of ASCII, by their numbers: here they would deceive, too.
_FOREIGN = {
    "-": "2010 2011 2012 2013 2014 2015 2043 02d7 2212",
    "/": "2044 2215 29f8",
    ".": "a4f8 0660 06f0 0701 0702",
    "a": "0391 0410 0430 03b1 0251",
    "b": "0392 0412 044c 0432",
    "c": "0421 0441",
    "d": "0501",
    "e": "0395 0415 0435 03b5",
    "g": "0261",
    "h": "0397 041d 04bb 043d",
    "j": "0408 0458",
    "k": "039a 041a 043a 03ba",
    "l": "0399 0406 0456 0131 03b9 04cf 04c0",
    "m": "039c 041c 043c",
    "n": "039d 043f",
    "o": "039f 041e 043e 03bf 0966 0ce6",
    "p": "03a1 0420 0440 03c1",
    "q": "051b",
    "r": "0433",
    "s": "0405 0455",
    "t": "03a4 0422 0442 03c4",
    "u": "03c5",
    "v": "03bd 0474 0475",
    "w": "051d 03c9",
    "x": "03a7 0425 0445 03c7",
    "y": "03a5 0423 0443 03b3",
    "z": "0396",
}
_ALPHABETS = {int(number, 16): latin for latin, numbers in _FOREIGN.items() for number in numbers.split()}
_DIGITS = str.maketrans("1i|0", "lllo")


# What reorders text, or takes no room in it: bidirectional controls, zero width characters, fillers.
_DECEIVING = (
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffc\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U00016fe4\U000e0000-\U000e0fff]"
)
_IN_EMOJI = frozenset("\u200d\ufe0e\ufe0f")
_KEYCAP = "\u20e3"


def is_hidden(char: str) -> bool:
    """Whether a reader sees nothing, or nothing certain, where this character is."""
    if " " <= char <= "~":
        return False
    return unicodedata.category(char) in _CATEGORIES or re.match(_BLANK, char) is not None


def skeleton(text: str) -> str:
    """What a reader may take text for: without hidden characters and spaces, in one case, with look-alikes as one."""
    if not text.isascii():
        hidden = {ord(char): None for char in set(text) if char != "\n" and is_hidden(char)}
        text = unicodedata.normalize("NFKC", text.translate(hidden)).translate(_ALPHABETS)
    return text.replace(" ", "").casefold().translate(_DIGITS)


def look_alikes(texts: Iterable[str]) -> list[list[str]]:
    """Different texts that a reader may take for one, together, sorted."""
    distinct = set(texts)
    joined = "\n".join(distinct)
    if len(set(skeleton(joined).split("\n"))) == joined.count("\n") + 1:
        return []  # quickly, for a hundred thousand names
    found: Mapping[str, list[str]] = defaultdict(list)
    for text in sorted(distinct):
        found[skeleton(text)].append(text)
    return [alike for alike in found.values() if len(alike) > 1]


def named(char: str) -> str:
    """`U+200B ZERO WIDTH SPACE`."""
    return f"U+{ord(char):04X} {unicodedata.name(char, '')}".rstrip()


def apart(one: str, other: str) -> str:
    """What the other text has where they first differ, in words that tell look-alikes apart."""
    start = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    end = 0
    while end < min(len(one), len(other)) - start and one[-1 - end] == other[-1 - end]:
        end += 1
    here, there = (text[start : len(text) - end] for text in (one, other))
    return f"{_spelt(there)} where this has {_spelt(here)}"


def _spelt(text: str) -> str:
    most = 4
    return " + ".join([*map(named, text[:most]), *(["…"] if len(text) > most else [])]) or "nothing"


def deceiving(text: str) -> Mapping[str, list[int]]:
    """The characters that reorder text or take no room in it, and where they are; not those that make up an emoji."""
    found: dict[str, list[int]] = defaultdict(list)
    for match in () if text.isascii() else re.finditer(_DECEIVING, text):
        before, after = text[max(0, match.start() - 1) : match.start()] or " ", text[match.end() : match.end() + 1]
        of_emoji = before in _IN_EMOJI or after == _KEYCAP or unicodedata.category(before) in ("So", "Sk", "Sm")
        if match[0] not in _IN_EMOJI or not of_emoji:
            found[match[0]].append(match.start())
    return found
