"""One file per stage.

`train`, `prune` and `quantize` are compression stages: frozen settings and a function
`(state, settings, context) -> state`. `export` and `measure` turn the last state into the
artifact and the artifact into numbers.
"""
