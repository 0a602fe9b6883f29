"""What rules mean without the API: conflicts in one set of rules, and what differs between two."""
