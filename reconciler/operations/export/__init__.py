"""An export: asking Losant for the compiled WASM, and receiving the file."""
