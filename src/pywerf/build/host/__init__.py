"""Cleans this machine: caches, temporary files, and the images of projects in either backend."""
