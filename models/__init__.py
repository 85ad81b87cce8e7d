"""What is compressed: networks, the Lightning module that trains them, and data."""

import models.torchvision_ops  # noqa: F401 - Lightning and torchmetrics import torchvision
