"""The second version of containers: all of a file in one arithmetic code, compiled by numba.

format      what a container has, and how damage is noticed
stream      numbers that are coded or found by the same calls; its models share one code
bits        a bit, predicted by several contexts together: the one loop that all else is made of
weights     a weight in the form that takes the fewest bits
matrices, matrix    small numbers in two dimensions, and what predicts them
elements, numbers   floats and wide integers
text, graphs        the graph, and what its model has read before
"""
