"""Do files answer as their networks: small networks of every kind, through every stage."""
