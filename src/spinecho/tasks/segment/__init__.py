"""Segmentation: an image of a head to a map of its regions."""
