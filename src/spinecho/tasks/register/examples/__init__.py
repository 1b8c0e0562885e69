"""What learned registration is trained on: pairs of heads, held-out ones."""
