"""The start of the process: `python -I reference/__main__.py`, which answers in lines of JSON (`reference.process`)."""

import sys
from pathlib import Path

# In isolated mode neither the working folder nor that of the script is searched.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from reference.process import main

if __name__ == "__main__":
    main()
