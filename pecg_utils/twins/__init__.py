"""Simulators that write each dataset in its own on-disk format, so that everything runs offline.

In reading order: `norms` (normal values by age), `heart` (one beat as a moving dipole), `rhythms`
(when atria and ventricles beat), `draw` (from beats to the dipole), `torso` (from the dipole to
leads), `catheter` (from beats to electrograms), `noise`; `labels` and `findings` (what a disease or
a finding changes), `person` (a person and their recordings), `prevalence` (who has what); then a
file for each dataset, with `writers` for the files and `writing` for the folder. A result from a
twin is no reproduction.
"""

from types import ModuleType

from pecg_utils.twins import challenge, cpsc2018, leipzig, pe, ptbxl, zzu

# dataset: its simulator, with SIZES (words -> what it counts) and write(root, size, seed, workers)
TWINS: dict[str, ModuleType] = {
    "zzu": zzu,
    "ptbxl": ptbxl,
    "challenge": challenge,
    "cpsc2018": cpsc2018,
    "leipzig": leipzig,
    "pe": pe,
}
