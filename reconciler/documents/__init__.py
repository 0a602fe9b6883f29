"""The JSON documents that commands write: each declared once, which gives its schema, its writer and its reader.

The declaration is the value of the model itself: its fields are the keys. `values` writes by it, `shape` is its schema,
and reading gives the same value back.
"""
