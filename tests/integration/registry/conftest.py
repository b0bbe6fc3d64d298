"""Fixtures of this folder: small images."""

from __future__ import annotations

from support.image_values import image, index_of, make_image

__all__ = ["image", "index_of", "make_image"]
