"""Remote caches: results of steps in registries and folders (`--cache-from`, `--cache-to`)."""
