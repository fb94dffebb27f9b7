"""Was a drawing's program repaired as told, and nothing else changed? Vector-Bench's contract, exact and weight-free.

Written from the published contract and code of Vector-Bench (yug-space/vector-edit-gym at 664f0b2, MIT), whose verdicts
it reproduces. ``values`` says when two attribute values are the same, ``trees`` when two elements are, ``tolerances``
how far a repaired value may lie from the wanted one, ``verdict`` puts the three gates together, and ``metric`` runs it
over programs in a process of its own.
"""
