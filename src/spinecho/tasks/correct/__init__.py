"""What the scanner itself puts into images, taken out: uneven brightness, ringing."""
