"""Locks between builders, on one host or on many: so that one stage is published once."""
