"""DICOM series: finding files, frames, geometry, writing."""
