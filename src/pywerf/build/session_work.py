"""The lease that every command holds while it works in a store, and that a collector has to wait for."""

__all__ = ["WORK"]

WORK = ("session", "work")
