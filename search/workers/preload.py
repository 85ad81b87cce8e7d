"""What workers need, imported in the process that they are forked from.

See `search.workers.fork_server`. Nothing here may compute, or start a thread that a forked process
would miss. (OpenBLAS starts some as NumPy and SciPy are imported, and again in a process that is
forked.)
"""

import gc

gc.disable()

import alembic.command  # noqa: E402, F401 - as the next, imported when a study is opened
import onnxscript  # noqa: E402, F401 - torch's exporter imports it when it is called first
import optuna.storages._rdb.models  # noqa: E402, F401

import search.workers.task  # noqa: E402, F401

gc.enable()
gc.freeze()  # a collection in a worker need not look at all this, nor does it copy its pages
