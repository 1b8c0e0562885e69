"""Side by side with bart, sigpy and pygrappa: `python -m benchmarks` writes RESULTS.md."""
