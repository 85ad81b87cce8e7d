"""What a file is scored by: accuracy, a metric of torchmetrics, or a function of the user's."""
