"""Transform files: ITK's (HDF5, text, MATLAB, displacement fields in NIfTI) and plain matrices; LPS mm throughout."""
