"""What several denoising methods are made of."""
