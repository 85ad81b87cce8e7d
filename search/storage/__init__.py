"""Where a study is kept: its database, its files, the queue of its trials."""
