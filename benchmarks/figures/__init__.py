"""Whether each figure that README and `studies/` show is still what was measured.

`python -m benchmarks.figures` reads README.md and the README of each folder of committed results,
and says in a line what does not hold:

- a table between `<!-- figures: NAME -->` and `<!-- end -->` must be what `tables.NAME` makes of
  the committed CSV files; `--write` puts it there anew;
- any other number with a unit (bytes, %, points, times, seconds ...) must be one of a committed
  table, rounded as it is written, or stand in the folder's facts.csv with what measured it;
- each row of a CSV file must agree with itself: x, Q and U follow from bytes and deltas;
- each committed file, a container, must decode to a file of the size that its row has.

`--data-root DIR` (with MNIST) runs the committed files, too, and compares accuracies. `--retrain`
trains one row of each table anew, in minutes, and compares bytes and accuracies.
"""
