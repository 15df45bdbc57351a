"""Command line of the project: one small file a command."""
