"""Text that deceives, from the manifest to the terminal: told wherever somebody could fall for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.simulator import serve
from tests.support.cli import Ended, run_here

APPLICATION = "5f0c8a1b2d3e4f5061728394"
FLEET = {
    "applications": [
        {
            "id": APPLICATION,
            "name": "plant",
            "flows": {"telemetry": ["v1.3.0", "v1.3.0\u3164"]},
            "devices": [{"name": "Pumpe S\u00fcd", "deployed": {"telemetry": "v1.3.0"}}],
        }
    ]
}
COMPOSED, DECOMPOSED = "Pumpe S\u00fcd", "Pumpe Su\u0308d"
DIFFERS = (
    f"nearest: {COMPOSED}, which looks alike but has U+00FC LATIN SMALL LETTER U WITH DIAERESIS where this has U+0075 "
    "LATIN SMALL LETTER U + U+0308 COMBINING DIAERESIS"
)


@pytest.fixture(autouse=True)
def at_the_plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with serve(FLEET) as server:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("LOSANT_API_URL", server.url)
        monkeypatch.setenv("LOSANT_API_TOKEN", server.token)
        yield


def run_on(device: str, version: str, *argv: str) -> Ended:
    """Run a command on a manifest in which that device is to run that version."""
    text = f"apiVersion: reconciler/v1\napplication: {APPLICATION}\ndevices: {{{device}: {{telemetry: {version}}}}}\n"
    Path("m.yaml").write_text(text, encoding="utf-8")
    return run_here(*argv)


def test_a_version_with_a_filler_does_not_look_unchanged() -> None:
    for fmt in ("text", "markdown"):
        shown = " ".join(run_on(COMPOSED, "v1.3.0\u3164", "plan", "m.yaml", "--format", fmt).out.split())
        assert "\u3164" not in shown
        assert "v1.3.0\\u3164" in shown
        assert 'versions of flow telemetry look alike: "v1.3.0" and "v1.3.0\\u3164"' in shown
        assert "the second has U+3164 HANGUL FILLER where this has nothing" in shown
    assert run_on(COMPOSED, "v1.3.0\u3164", "plan", "m.yaml", "--strict").code == 3
    validated = run_on(COMPOSED, "v1.3.0\u3164", "validate", "m.yaml")
    assert (validated.code, "U+3164 HANGUL FILLER does not show" in validated.err) == (0, True)


def test_an_imported_version_shows_its_filler() -> None:
    run_on(COMPOSED, "v1.3.0\u3164", "apply", "m.yaml", "--yes")
    imported = run_here("import", "--application", APPLICATION).out
    assert "\u3164" not in imported
    Path("all.yaml").write_text(imported, encoding="utf-8")
    assert run_here("plan", "all.yaml").out.endswith("No changes.\n")
    assert run_here("validate", "all.yaml").err == ""


@pytest.mark.parametrize(
    "argv",
    [
        ["plan", "m.yaml"],
        ["status", "m.yaml", "--device", DECOMPOSED],
        ["plan", "m.yaml", "--target", f"device={DECOMPOSED}"],
    ],
    ids=lambda argv: argv[0],
)
def test_a_name_in_another_form_of_unicode_says_what_differs(argv: list[str]) -> None:
    ended = run_on(COMPOSED if len(argv) > 2 else DECOMPOSED, "v1.3.0", *argv)
    assert ended.code == 1
    assert DIFFERS in ended.err
