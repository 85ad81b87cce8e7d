"""Look before training whether a network can go all the way."""
