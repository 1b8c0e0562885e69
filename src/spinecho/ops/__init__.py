"""Linear maps with adjoints: Fourier, coils, sampling, and the forward model made of them."""
