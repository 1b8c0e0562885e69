"""Three small simulated scans that ship with the package; README.md says what they are."""
