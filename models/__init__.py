"""What is compressed: networks, the Lightning module that trains them, and data."""

from compression_search_torchvision import watch

watch()  # where this is not installed, so that torch has not called it
