"""pywerf: container image builds in Python, with the Docker daemon or with an engine of its own."""

__all__ = ["__version__"]

__version__ = "0.1.0"
