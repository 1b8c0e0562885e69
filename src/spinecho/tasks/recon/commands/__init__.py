"""Commands of reconstruction: one file each, found by listing this folder."""
