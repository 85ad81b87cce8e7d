"""All that needs a GPU, for an hour with one: `python -m benchmarks.cuda OUT`."""
