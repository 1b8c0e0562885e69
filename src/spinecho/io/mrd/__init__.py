"""ISMRMRD: header, lines, grids, image series, checksums."""
