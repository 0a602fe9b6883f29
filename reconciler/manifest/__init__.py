"""Manifests: files in, rules out, and back."""
