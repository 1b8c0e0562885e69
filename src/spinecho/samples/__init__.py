"""Small scans that ship with the package, three simulated and one real; README.md says what they are."""
