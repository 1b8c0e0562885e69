"""Learned blocks: plain arguments, no physics, torch only."""
