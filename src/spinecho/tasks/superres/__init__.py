"""Super-resolution: an image to the same image on a finer grid."""
