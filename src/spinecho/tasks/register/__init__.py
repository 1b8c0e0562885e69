"""Registration: two volumes to the transform between them."""
