"""Scripted policies: opponents and yardsticks, as TorchScript modules that become bundles like learned ones."""
