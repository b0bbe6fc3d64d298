"""The Docker backend: images are built and kept by a Docker daemon."""
