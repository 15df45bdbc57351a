"""Where policies learn: many games at once, compiled opponents, rewards, environments.

Everything that a robot does here, its filter included, is computed by the kernels of ``pe_core`` and ``pe_safety``.
"""

from pathlib import Path

import pe_safety  # noqa: F401  covers its own kernels first
from pe_core.kernel_cache import cover

cover(Path(__file__).parent)
