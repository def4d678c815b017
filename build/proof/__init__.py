"""Make candidates, run and time them, decide which one ships."""
