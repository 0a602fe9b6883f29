"""The scopes that a token needs, as docs/scopes.md has them."""

from __future__ import annotations


def to_plan(kind: str) -> tuple[str, ...]:
    """What a pull request's plan needs, and what it can do without but should not."""
    return (f"{kind}Deployments.get", "devices.get", "flows.get", "application.get", "flowVersions.get")


def to_apply(kind: str) -> tuple[str, ...]:
    """What an apply needs besides."""
    return tuple(f"{kind}Deployments.{action}" for action in ("release", "replace", "remove"))
