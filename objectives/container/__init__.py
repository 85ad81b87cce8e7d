"""Containers: an ONNX file in a tenth of its bytes, and back, bit for bit.

The third step of Deep Compression (Han, Mao, Dally 2016, arXiv:1510.00149): what pruning and
quantization left is coded, each weight by the shortest of several methods.

    from objectives.container.format import decode, encode

    container = encode(onnx_file)                          # or methods=("huffman",): as published
    assert decode(container) == onnx_file

or `python -m objectives.container encode|decode IN OUT`. What it takes beside other coders:
`python -m benchmarks.coders`.

The file is cut in two: the values of weights, and the rest, its *graph*. The decoder has neither
protobuf nor ONNX; it needs Python's standard library and numpy. numba makes it a hundred times as
fast where it is installed, with the same bytes (compiled.py).

Layout
======
Coded arithmetically, a container is one stream, in which all that was coded before helps to
predict what comes (`solid`; its `Stream.plain`, `symbol` and `count` are bits of which nothing is
known, numbers like those before in their field, and numbers by their length):

    container   "OnC2"  the first 4 bytes of the SHA-256 of the file and all that follows here
                stream
    stream      count: bytes of the file  count: bytes of the graph
                symbol: is the graph coded by text.py?  the graph, by it or as "plain" has it
                each weight in the order of the file
    weight      symbol: its form, and then by its form
                ranks       symbol: base  count: how far below, above it numbers go
                            symbol: do many lack?  [a symbol each: is it there?]  matrix
                codebook    as below, of plain bits  matrix  plain: low bits
                elements    symbols: least exponent, bits of an exponent [zeros of mantissas]
                            for each: symbol: exponent  sign  mantissa
                steps       likewise, of the differences of the keys of ascending floats
                scaled      count: which float32 vector before  plain: factor in 32 bits
                plain       symbol: coding 0 to 2  [count: bytes]  the bytes
    matrix      [count: period]  symbols: mean magnitude, and that of those which are not zero
                the decisions of matrix.py

By other methods alone, and by those of before, each weight has a stream of its own. Fields are
bits, the highest first. A *number* is its bit length n in 6 bits, then the n - 1 bits behind its
first 1. *Rice(r)* is a number shifted right by r in unary (ones, then a 0), then its r lowest
bits. `|` fills up with zeros to a whole byte. K is the width of an element, 2 to 32 bits.

    container   "OnC1"  the first 8 bytes of the SHA-256 of the file and all that follows here
                number: bytes of the file  number: bytes of the graph |
                stream of the graph, then one of each weight in the order of the file
    stream      coding in 3 bits  number: bytes that follow | those bytes
    coding      0 stored, 1 raw deflate, 2 raw LZMA2 (plain.py), 3 coders/huffman.py,
                4 first/arithmetic.py for a weight, first/text.py for the graph
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
keys become indexes, canonical.py which words a Huffman code has, `first` what arithmetically coded
bytes of before mean. graphs.TYPICAL is deflate's dictionary for the graph, solid.graphs.TYPICAL
what solid.text has read before.

A container that was cut short or damaged is refused with `ContainerError`. The decoder bounds its
work by what it has checked: bytes by `max_bytes`, Huffman's entries by the bits that are there,
arithmetically coded elements by looking, after some 65,536 of them, whether bytes are left.
"""
