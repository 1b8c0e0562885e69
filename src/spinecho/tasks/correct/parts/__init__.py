"""What several corrections are made of."""
