"""Edits of a manifest's text in which every byte outside the edited value stays."""
