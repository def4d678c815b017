"""Layers of encoders as one operator of our own each, `EncoderLayer` of `build/kernels`.

The operator computes all of a layer in 8 bits, so nothing of it is written to memory in floats but its output. It takes
layers as BERT has them after fusion (`matching.py`), whichever way attention was fused (`attention.py`), and leaves the
rest; recipes may have put a smoothing `Mul` before each product.
"""
