"""Scans drawn in batches on any device, for training: a few large tensor operations for all scans of a step.

What a whole batch shares (matrix, coils) is a `Bucket`; everything else of a scan comes from a generator of its own.
`sim.draws` draws the scans of evaluation, one by one, and stays as it is.
"""
