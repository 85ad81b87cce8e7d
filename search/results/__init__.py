"""A finished study as data: its table, front, rankings, and what was published."""
