"""How containers that begin with OnC1 were coded arithmetically: read only, nothing is written so.

They were written by a coder in plain Python that took 15 to 55 seconds for a million weights, with
fewer contexts than `solid` has.
"""
