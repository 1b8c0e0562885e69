"""Methods: one file each, found by listing the folder of their task."""
