"""Translation of a head's image into another contrast."""
