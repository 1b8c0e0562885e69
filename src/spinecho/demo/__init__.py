"""The demo: a few sample files from raw samples to aligned and denoised images, and a page that shows them."""
