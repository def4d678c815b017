"""The writing of a text: its tokens one after the other, and what of it can be sent before it is whole."""
