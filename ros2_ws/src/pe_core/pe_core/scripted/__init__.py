"""Scripted policies: opponents and yardsticks, as TorchScript modules in bundles like the learned ones."""
