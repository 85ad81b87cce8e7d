"""One file per built-in data set; each adds itself to `models.registry.DATA`."""
