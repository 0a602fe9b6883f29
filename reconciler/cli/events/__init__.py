"""`--events`: what `plan` and `apply` tell while they run. The option, the lines, and where they go."""
