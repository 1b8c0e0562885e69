"""What things are: the nouns (KSpace, Image, Geometry), the verb (Method), and the one error type."""
