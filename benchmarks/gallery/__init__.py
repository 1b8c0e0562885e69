"""`python -m benchmarks.gallery` (make gallery): docs/gallery.md and its pictures, every method on the same slice."""
