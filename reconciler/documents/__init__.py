"""The JSON documents that commands write: each is declared once, and its schema, writer and reader are derived.

The declaration is the model type itself: its fields are the keys. `values` writes it, `shape` makes its schema, and
reading returns an equal value.
"""
