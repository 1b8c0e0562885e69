"""Scores, each with its protocol in its name."""
