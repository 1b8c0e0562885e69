"""NIfTI: images out and in; the only place where RAS exists."""
from __future__ import annotations
SUFFIXES = (".nii", ".nii.gz")
