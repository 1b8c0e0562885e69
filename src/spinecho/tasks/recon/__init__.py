"""Reconstruction: k-space to image."""
