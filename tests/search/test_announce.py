from search.announce import dead_layers


def test_a_layer_without_a_weight_is_told() -> None:
    assert dead_layers({"nonzero_weights": {"a.weight": (3, 9), "b.weight": (1, 2)}}) == ""
    counts = {"a.weight": [0, 9], "b.weight": [1, 2], "c.in_proj_weight": [0, 4]}
    assert dead_layers({"nonzero_weights": counts}) == "; no weight is left in a, c.in_proj_weight"
    assert dead_layers({}) == ""
