"""A network, and what is known of it: its state, its source, its graph and values."""
