"""Pictures of the documentation, and what makes them."""
