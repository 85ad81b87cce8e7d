"""What a study is asked to do: its config and laws, presets, options, what was given."""
