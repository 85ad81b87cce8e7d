"""Containers: an ONNX file in a tenth of its bytes, and back, bit for bit.

The third step of Deep Compression (Han, Mao, Dally 2016, arXiv:1510.00149): what pruning and
quantization left is coded, each weight by the shortest of several methods.

    from objectives.container.format import decode, encode

    container = encode(onnx_file)                          # or methods=("huffman",): as published
    assert decode(container) == onnx_file

or `python -m objectives.container encode|decode IN OUT`. An 8-bit CNN for MNIST has 22,136 bytes
as an ONNX file, 2,324 with gzip, 1,556 with Huffman codes and 1,218 with all methods.

The file is cut in two: the values of weights, and the rest, its *graph*. The decoder has neither
protobuf nor ONNX; it needs Python's standard library and numpy.

Layout
======
Fields are bits, the highest first. A *number* is its bit length n in 6 bits, then the n - 1 bits
behind its first 1. *Rice(r)* is a number shifted right by r in unary (ones, then a 0), then its r
lowest bits. `|` fills up with zeros to a whole byte. K is the width of an element, 2 to 32 bits.

    container   "OnC1"  the first 8 bytes of the SHA-256 of the file and all that follows here
                number: bytes of the file  number: bytes of the graph |
                stream of the graph, then one of each weight in the order of the file
    stream      coding in 3 bits  number: bytes that follow | those bytes
    coding      0 stored, 1 raw deflate, 2 raw LZMA2 (plain.py), 3 coders/huffman.py,
                4 coders/arithmetic.py for a weight, text.py for the graph
    codebook    base in K bits  [low in 5 bits, if K > 8]  number: values
                r in 5 bits  Rice(r) for each value: its difference from the one before, less 1
                (the one before the first is -1)
                [if low > 0, for each value: 0, or 1 and the low bits of all its elements]
                0, or 1 and: middle in K bits  r in 5 bits  Rice(r) for each row: its center less
                middle, where 0, 1, 2, 3, 4 ... stand for 0, -1, 1, -2, 2 ...
    huffman     codebook  number: entries  k in 4 bits  1 bit: are there fillers?
                code of gaps (2**k symbols)  code of indexes (values, then the filler) |
                lanes of gaps | lanes of indexes | low bits
    code        Rice(0) for each symbol: d = its length less that of the one before (7 before the
                first), modulo 16, as 2 d - 1 for d = 1 ... 8, 0 for 0, else 2 (16 - d)
                [if two or more have a length: number: bits of all lanes
                number: bits of each lane of 8192 symbols, but the last lane]
    arithmetic  codebook  number: elements that are not the base
                [number: those of them that have low bits, if low > 0]
                number: period | low bits | the coder's bytes, without zeros at the end

Where weights were cut out is not stored: payloads.py reads the decoded graph as protobuf and stops
where a weight's bytes were. elements.py says which bits of an element are its key, codebook.py how
keys become indexes, canonical.py which words a Huffman code has, matrix.py and mixing.py what the
coder's bytes mean. graphs.TYPICAL is deflate's dictionary for the graph, and what text.py has
read before.

A container that was cut short or damaged is refused with `ContainerError`. The decoder bounds its
work by what it has checked: bytes by `max_bytes`, Huffman's entries by the bits that are there,
arithmetically coded bits by `format.MOST_DECISIONS`.
"""
