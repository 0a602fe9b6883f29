"""Where rollouts stand, as text and Markdown; what they say of the changes of a plan; and pins to paste."""
