"""Renders data as text; nothing here prints."""
