"""What the words over columns mean, a sentence each; the page and its readers share them."""

from search.results.columns import DELTA, SCORE, TIMES

TERMS = {
    "trial": "Number of the trial; `search.export --trial` takes it.",
    "what was done": "Each step of the trial's plan, in its order.",
    "sparsity": "Share of the network's weights that are zero or gone, over the layers that are "
    "compressed: s of Eq. 5.",
    "bits": "Bits of a mean weight that is left: p of Eq. 5.",
    "bytes": "Size of the file as it is counted in this study.",
    "gzip": "Bytes of the same file after gzip, level 6.",
    "container": "Bytes of the file coded without loss; decoded again in the same trial.",
    TIMES: "Times smaller than the file of your network, not compressed: r of Eq. 5.",
    "x ckpt": "Times smaller than a training checkpoint and its optimizer's state after gzip.",
    SCORE: "Score of this very file on the test part, which chose nothing.",
    DELTA: "Change against your network on the test part: percentage points of a share, as of "
    "accuracy, else percent of the network's value; below 0 is worse.",
    "Q": "The paper's quality, Eq. 5, on test: (s + 8/p) / 2 * tanh(d) * sigmoid(r), with d the "
    "change in points. Where accuracy is lost, more compression makes it worse.",
    "U": "Retained saving on test: (1 - 1/r) * exp(min(0, d)). 0 is your network as it is; it "
    "rises with r, and falls with what is lost.",
    "latency ms": "Median milliseconds for one input, on one thread of this machine's CPU.",
    "RAM kB": "Memory that running one input takes, in 1,024 bytes.",
    "est. energy uJ": "Microjoules of one input, estimated from operations and bytes moved.",
    "allocation": "How the sparsity is shared out among layers.",
    "epochs": "Passes over the training part while pruning.",
    "lr": "Adam's learning rate while pruning.",
    "paper": "What the paper's tables print for this combination.",
    "re-run": "The paper's protocol, run again in its own software: mean of three seeds.",
}
"""By the names of `search.results.columns`."""
