"""From changes to calls: the fewest that are safe under every reading of the API, ordered and proved."""
