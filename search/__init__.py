"""How trials are chosen, kept and shown: command line, study, storage, report."""

from search.packages import find_ours_first

find_ours_first()
