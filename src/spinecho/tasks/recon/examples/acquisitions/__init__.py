"""Acquisitions that training simulates, one file each, found by name (what a file offers: `examples.acquire`)."""
