"""The JSON documents that commands write: each declared once, which gives its schema, its writer and its reader.

A part of a document is a `TypedDict`: what writes it returns one, checked by mypy and made at the price of a dict;
pydantic reads and publishes the same declaration. Everybody else knows the values that a document is made of, and that
reading it gives back.
"""
