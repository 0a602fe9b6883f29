"""One short file a command: declarations, one operation, one renderer."""
