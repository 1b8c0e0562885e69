"""The one training loop, and what it draws its acquisitions from."""
