"""Who carries trials out: processes, tasks, the objective, confirming."""
