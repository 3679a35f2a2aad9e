"""Simulators that write each dataset in its own on-disk format, so that everything runs offline.

In reading order: `norms` (normal values by age), `heart` (beats on a moving dipole), `torso` (from
dipole to leads), `noise`, `labels` (what a disease changes), `child` (a child and its recordings),
and `zzu` (the ZZU-pECG twin; `zzu_plan` says who is in it, `zzu_codes` holds its code tables), with
`writers` for the files. A result from a twin is no reproduction.
"""
