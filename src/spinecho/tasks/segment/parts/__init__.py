"""What several segmenting methods are made of."""
