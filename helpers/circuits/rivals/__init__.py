"""What the codes are compared with: methods that see the metric, and ablate or differentiate.

`acdc` removes edges one by one, `gradients` has HISP, attribution patching, EAP and EAP-IG,
`path_patching` measures every edge exactly, `subnetwork_probing` trains masks. `saturation` finds
heads that gradients do not see.
"""

from helpers.circuits.rivals.damage import Damage
from helpers.circuits.rivals.gradients import (
    attribution_patching,
    eap,
    eap_ig,
    edge_attribution,
    hisp,
    node_attribution,
)
from helpers.circuits.rivals.saturation import SaturatedHead, saturated

__all__ = [
    "Damage",
    "SaturatedHead",
    "attribution_patching",
    "eap",
    "eap_ig",
    "edge_attribution",
    "hisp",
    "node_attribution",
    "saturated",
]
