"""Exports: requests compiled WASM from Losant, and receives the file."""
