"""Iterations on callables; they know no MRI."""
