"""`turnout calibrate`: the threshold of a model's cascade, and what keeping the CPU tier's answers may cost."""
