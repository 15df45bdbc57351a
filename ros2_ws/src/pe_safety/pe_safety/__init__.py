"""Control barrier functions, the exact quadratic program and the safety filter."""

from pathlib import Path

from pe_core.kernel_cache import cover

cover(Path(__file__).parent)
