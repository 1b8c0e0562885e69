"""What spinecho does: one folder for each task, none of which knows another."""
