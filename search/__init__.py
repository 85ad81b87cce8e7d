"""How trials are chosen, kept and shown: command line, study, storage, report."""
