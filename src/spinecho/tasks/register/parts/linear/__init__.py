"""Affine and rigid alignment."""
