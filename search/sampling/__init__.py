"""What is tried next: spaces, samplers, stopping rules."""
