"""Registration by peers: pairs, their engine files, and a runner that goes on where it was stopped."""
