"""Trained weights and their model cards."""
