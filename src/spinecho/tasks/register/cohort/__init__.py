"""Templates of a cohort: registration of many to their mean."""
