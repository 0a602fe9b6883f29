"""Resolves rules and an inventory to desired rows."""
