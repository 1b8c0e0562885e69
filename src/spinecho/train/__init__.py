"""The one training loop; what it draws its examples from is the tasks' own (`train.supply`)."""
