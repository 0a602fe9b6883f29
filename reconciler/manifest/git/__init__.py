"""Manifests in git: of a revision, and what a checkout lacks."""
