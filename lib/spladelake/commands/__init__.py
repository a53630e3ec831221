"""Commands that are not jobs; nothing heavy is imported until one runs."""
