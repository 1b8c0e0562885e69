"""Siemens raw data: measurements, lines, protocol, echo-planar corrections."""
