"""The commands, one short file each: declarations, one operation, one renderer."""
