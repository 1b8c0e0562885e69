"""What learned reconstruction is trained on: scans drawn of objects, raw scans, held-out ones."""
