"""Images to and from what other packages hold in memory: NumPy, nibabel, SimpleITK, torchio; one call each."""
