"""The shared data types: state, rules, requests, changes, plans, results, worlds."""
