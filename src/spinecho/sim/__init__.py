"""Make data: phantoms, contrasts, coils, masks, trajectories, noise."""
