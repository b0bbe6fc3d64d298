"""Cleans a repository of a project's images: what is still needed, why, and how the rest goes."""
