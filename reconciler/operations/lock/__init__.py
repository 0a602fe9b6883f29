"""Versions and their locks: judging plans by them, and writing what versions are now."""
