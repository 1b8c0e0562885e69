"""One image in three hands: NiBabel, SimpleITK and spinecho side by side, and that they mean the same place by a voxel.

python examples/nibabel_and_simpleitk.py [IMAGE.nii.gz [OUT_FOLDER]]

What to give: a NIfTI volume; without one the sample brain is taken. SimpleITK is an extra: pip install SimpleITK.
How long: some seconds.
"""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk

import spinecho

sample = str(files("spinecho.samples") / "head_t1.nii.gz")
file, folder = (*sys.argv[1:3], *(sample, "three_hands")[len(sys.argv) - 1 :])
out = Path(folder)
out.mkdir(parents=True, exist_ok=True)

# Each library reads the file by itself. NiBabel's arrays are (x, y, z), SimpleITK's and spinecho's are (z, y, x).

nifti, itk, own = nibabel.load(file), sitk.ReadImage(file), spinecho.read(file)
assert isinstance(own, spinecho.Image)
print("nibabel", nifti.shape, "| SimpleITK", itk.GetSize(), "| spinecho (z, y, x)", own.geometry.shape)

# One call each brings an image over, values and place. Nothing goes through a file.

images = {"nibabel": spinecho.from_nibabel(nifti), "SimpleITK": spinecho.from_sitk(itk), "spinecho": own}
x, y, z = (n // 3 for n in itk.GetSize())
for name, image in images.items():
    print(f"{name:<10} voxel ({x}, {y}, {z}) lies at {np.round(image.geometry.to_world([x, y, z]), 2)} mm (LPS)")
    np.testing.assert_allclose(image.geometry.to_world([x, y, z]), own.geometry.to_world([x, y, z]), atol=1e-3)

# NiBabel's world is RAS: x and y have the other sign. SimpleITK's is LPS, as spinecho's is.

print("nibabel says", np.round(nifti.affine @ [x, y, z, 1], 2)[:3], "mm (RAS)")
print("SimpleITK says", np.round(itk.TransformIndexToPhysicalPoint((x, y, z)), 2), "mm (LPS)")

# Work done in one is at hand in the others: blurred by SimpleITK, evened out by spinecho, saved by NiBabel.

blurred = spinecho.from_sitk(sitk.DiscreteGaussian(sitk.Cast(itk, sitk.sitkFloat32), 4.0))
quiet = spinecho.denoise(blurred, "wavelet")
nibabel.save(spinecho.to_nibabel(quiet), out / "by_nibabel.nii.gz")
sitk.WriteImage(spinecho.to_sitk(quiet), str(out / "by_simpleitk.nii.gz"))
spinecho.write(quiet, out / "by_spinecho.nii.gz")

# The three files hold the same.

again = [nibabel.load(out / f"by_{name}.nii.gz") for name in ("nibabel", "simpleitk", "spinecho")]
for one in again[1:]:
    np.testing.assert_allclose(one.get_fdata(), again[0].get_fdata(), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(one.affine, again[0].affine, atol=1e-3)
print(f"three files that agree are in {out}")
