"""Denoising: an image to the same image with less noise."""
