"""Convert images to and from other packages in memory: NumPy, nibabel, SimpleITK, torchio; one call each."""
