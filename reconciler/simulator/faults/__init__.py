"""What can go wrong on the way, by switch."""
