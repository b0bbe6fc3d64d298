"""The `werf` command: finds the sub-command's module, runs it, and is the only place that prints errors."""


def main() -> None:
    """Entry point of the console script."""
