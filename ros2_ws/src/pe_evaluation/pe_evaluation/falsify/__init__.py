"""The search for the smallest body margin: whatever the world, the estimates and the policies may do within bounds."""

from pathlib import Path

import pe_safety  # noqa: F401  covers its own kernels first
from pe_core.kernel_cache import cover

cover(Path(__file__).parent)
