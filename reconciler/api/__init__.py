"""The border to the Losant REST API."""
