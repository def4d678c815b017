"""What holds for every test."""

import signal

# A shell that starts a run in the background has it ignore interrupts, and so would every process that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
