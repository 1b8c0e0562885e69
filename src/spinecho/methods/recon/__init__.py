"""Reconstruction methods: KSpace -> Image, one file each."""
