"""NIfTI headers and voxels; the only place where RAS exists."""
