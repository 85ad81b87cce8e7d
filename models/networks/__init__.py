"""One file per built-in network; each adds itself to `models.registry.MODELS`."""
