"""Data to text: nothing here prints."""
