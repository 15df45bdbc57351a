"""The scripted policies of ``pe_core.scripted``, compiled: one observation at a time, without torch.

Every function is the twin of one there and says which; the tests compare them with the bundles.
"""
