"""The file: written, compared with its network, run, measured, read back."""
