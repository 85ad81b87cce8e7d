"""Small networks as people write them, from 32 x 32 pixels of one channel to ten logits.

Each is there for something that an exporter, a quantizer or channel removal can get wrong.
"""
