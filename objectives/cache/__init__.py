"""Results of stages that are kept: each is computed once."""
