"""The user's model run by its own library, in a process that knows nothing else of this project.

What the build reads, tokenizes and post-processes by its own code is compared with these answers, so nothing here
imports that code: a mistake that both shared would prove itself. `build/reading/` starts the process and compares.
"""
