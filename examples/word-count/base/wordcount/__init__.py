"""Counts words of texts that wait in a database."""
