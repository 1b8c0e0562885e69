"""FreeSurfer's MGH files: header, voxels, and the numbers behind them."""
