"""From live state to a manifest whose plan is empty."""
