# made by tools/write_stubs.py
from spinecho.core.encoding import Encoding as Encoding
from spinecho.core.errors import DataError as DataError
from spinecho.core.errors import DoubtfulResult as DoubtfulResult
from spinecho.core.geometry import Geometry as Geometry
from spinecho.core.header import Header as Header
from spinecho.core.image import Image as Image
from spinecho.core.kspace import KSpace as KSpace
from spinecho.core.transform import Affine as Affine
from spinecho.core.transform import Composite as Composite
from spinecho.core.transform import Displacement as Displacement
from spinecho.core.transform import Rigid as Rigid
from spinecho.core.transform import Transform as Transform
from spinecho.core.transform import Velocity as Velocity
from spinecho.core.version import __version__ as __version__
from spinecho.io.exchange.arrays import from_numpy as from_numpy
from spinecho.io.exchange.arrays import to_numpy as to_numpy
from spinecho.io.exchange.itk import from_sitk as from_sitk
from spinecho.io.exchange.itk import to_sitk as to_sitk
from spinecho.io.exchange.neuro import from_nibabel as from_nibabel
from spinecho.io.exchange.neuro import from_torchio as from_torchio
from spinecho.io.exchange.neuro import to_nibabel as to_nibabel
from spinecho.io.exchange.neuro import to_torchio as to_torchio
from spinecho.io.exchange.samples import from_samples as from_samples
from spinecho.io.options import ReadOptions as ReadOptions
from spinecho.io.options import WriteOptions as WriteOptions
from spinecho.io.read import read as read
from spinecho.io.write import write as write
from spinecho.tasks.correct.run import correct as correct
from spinecho.tasks.denoise.run import denoise as denoise
from spinecho.tasks.generate.run import generate as generate
from spinecho.tasks.recon.run import recon as recon
from spinecho.tasks.register.run import register as register
from spinecho.tasks.segment.run import segment as segment
from spinecho.tasks.superres.run import superres as superres
from spinecho.tasks.translate.run import translate as translate

HOMES: dict[str, str]
__all__ = [
    "Affine",
    "Composite",
    "DataError",
    "Displacement",
    "DoubtfulResult",
    "Encoding",
    "Geometry",
    "Header",
    "Image",
    "KSpace",
    "ReadOptions",
    "Rigid",
    "Transform",
    "Velocity",
    "WriteOptions",
    "correct",
    "denoise",
    "from_nibabel",
    "from_numpy",
    "from_samples",
    "from_sitk",
    "from_torchio",
    "generate",
    "read",
    "recon",
    "register",
    "segment",
    "superres",
    "to_nibabel",
    "to_numpy",
    "to_sitk",
    "to_torchio",
    "translate",
    "write",
]
