"""`python guarded.py COMMAND ...` becomes the command; a process beside it ends what the command leaves behind.

vLLM's engine and its workers are processes of their own, which go on where the server in front of them is killed.
"""

import os
import signal
import sys


def main() -> None:
    held, holding = os.pipe()
    if os.fork() == 0:
        os.close(holding)
        # It ends last, after whatever was told to end in order.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        # The other side is the command's alone: what it starts inherits no files.
        os.read(held, 1)
        # The group of the processes that `children.start` began with the command.
        os.killpg(0, signal.SIGKILL)
    os.close(held)
    os.set_inheritable(holding, True)
    os.execv(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
