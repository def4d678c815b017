"""The runtimes that compute an encoder's graph, behind one interface: no task knows which of them runs."""
