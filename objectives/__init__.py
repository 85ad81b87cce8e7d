"""What a trial does: stages, their cache, the artifact, its measurement, its quality."""

import models  # noqa: F401 - makes torchvision importable before a stage imports Lightning
