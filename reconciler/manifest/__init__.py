"""Manifests: from files to rules, and from live state to files."""
