"""Rules and an inventory to desired rows."""
