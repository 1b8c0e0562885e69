"""Tissues of the head: T1, T2, T2*, proton density at 3 T, and which label is which tissue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from spinecho.sim.contrast import t1_at_field


@dataclass(frozen=True)
class Tissue:
    """Relaxation at 3 T in ms, proton density relative to water, and how T1 grows with the field (`t1_at_field`)."""

    t1_ms: float
    t2_ms: float
    t2s_ms: float
    pd: float
    t1_exponent: float = 0.33

    def t1_at(self, field_t: float) -> float:
        """T1 in ms at a field strength in tesla."""
        return t1_at_field(self.t1_ms, self.t1_exponent, field_t)


TISSUES: Mapping[str, Tissue] = MappingProxyType(
    {
        "air": Tissue(1.0, 1.0, 1.0, 0.0, 0.0),
        "white matter": Tissue(840.0, 70.0, 50.0, 0.70, 0.382),
        "grey matter": Tissue(1330.0, 95.0, 62.0, 0.82, 0.376),
        "thalamus": Tissue(1140.0, 85.0, 52.0, 0.77, 0.376),
        "striatum": Tissue(1220.0, 82.0, 48.0, 0.80, 0.376),
        "pallidum": Tissue(960.0, 62.0, 32.0, 0.74, 0.376),
        "brain stem": Tissue(980.0, 75.0, 50.0, 0.73, 0.38),
        "lesion": Tissue(1350.0, 140.0, 80.0, 0.86),
        "csf": Tissue(4300.0, 1900.0, 1200.0, 1.00, 0.0),
        "choroid plexus": Tissue(1900.0, 150.0, 60.0, 0.88),
        "blood": Tissue(1900.0, 200.0, 60.0, 0.85, 0.2),
        "dura": Tissue(1000.0, 40.0, 20.0, 0.55),
        "vitreous": Tissue(4200.0, 1500.0, 900.0, 0.98, 0.0),
        "muscle": Tissue(1400.0, 45.0, 28.0, 0.80),
        "soft tissue": Tissue(700.0, 60.0, 30.0, 0.80, 0.25),
        "skin": Tissue(700.0, 40.0, 25.0, 0.65),
        "mucosa": Tissue(1500.0, 90.0, 25.0, 0.85),
        "marrow": Tissue(480.0, 55.0, 15.0, 0.75, 0.2),
        "bone": Tissue(300.0, 1.0, 0.5, 0.10),
    }
)
"""Rounded from the spread of published values, which is about 20 %; meant for realistic contrast, not as a reference.

White and grey matter, deep nuclei: Wansapura et al. 1999 (J Magn Reson Imaging 9:531), Rooney et al. 2007,
doi:10.1002/mrm.21122. Muscle, blood: Stanisz et al. 2005, doi:10.1002/mrm.20605. Fat and marrow: de Bazelaire et al.
2004, doi:10.1148/radiol.2303021331. Proton densities: Tofts, Quantitative MRI of the Brain, 2003, chapter 4. "Soft
tissue" is the fat and muscle under the skin as one class; the rest is set between its neighbours.
"""

_BY_TISSUE: Mapping[str, tuple[int, ...]] = {
    "white matter": (2, 7, 41, 46, 85, 251, 252, 253, 254, 255, 508, 530),
    "grey matter": (3, 8, 17, 18, 42, 47, 53, 54),
    "thalamus": (9, 10, 48, 49),
    "striatum": (11, 12, 26, 50, 51, 58),
    "pallidum": (13, 52),
    "brain stem": (16, 28, 60, 512),
    "lesion": (25, 57, 77, 78, 79),
    "csf": (4, 5, 14, 15, 24, 43, 44, 72),
    "choroid plexus": (31, 63, 136, 137, 163, 164),
    "blood": (30, 62, 502),
    "dura": (514,),
    "vitreous": (506,),
    "soft tissue": (507,),
    "mucosa": (509,),
    "skin": (511,),
    "bone": (515,),
    "marrow": (516,),
}

TISSUE_OF_LABEL: Mapping[int, str] = MappingProxyType(
    {0: "air", **{label: name for name, labels in _BY_TISSUE.items() for label in labels}}
)
"""FreeSurfer's ids, and the extra-cerebral ids (over 500) of the SynthSeg training label maps as they look there."""

HEAD_LABELS = frozenset(label for label in TISSUE_OF_LABEL if label)
"""Labels that belong to the head."""

BRAIN_LABELS = frozenset(
    label for label in HEAD_LABELS if label < 500 and TISSUE_OF_LABEL[label] not in ("csf", "blood")
)
"""Labels that belong to the brain's tissue."""
