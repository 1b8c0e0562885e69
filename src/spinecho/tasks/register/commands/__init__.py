"""Commands of registration: one file each, found by listing this folder."""
