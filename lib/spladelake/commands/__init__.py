"""Commands that are no jobs, one a module; what is heavy is imported when a command runs."""
