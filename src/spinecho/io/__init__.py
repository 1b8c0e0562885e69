"""Files to nouns and back; one file a format under `formats/`."""
