"""The words that everybody shares: state, rules, requests, changes, plan, read, world."""
