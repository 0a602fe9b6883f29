"""The files of the demo: the fleet that its simulator starts from, and the manifest for it."""

from __future__ import annotations

from importlib.resources import files


def demo_fleet() -> str:
    """The fleet file, as YAML text."""
    return _text("fleet.yaml")


def demo_manifest() -> str:
    """The manifest, as YAML text; `manifests/demo.yaml` is the same."""
    return _text("manifest.yaml")


def _text(name: str) -> str:
    return files("reconciler.cli").joinpath("demo_files", name).read_text(encoding="utf-8")
