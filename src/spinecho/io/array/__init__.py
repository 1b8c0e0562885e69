"""Arrays of any file: names of axes, samples, trajectories, own files."""
