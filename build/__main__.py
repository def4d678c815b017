"""`python -m build` names the command that builds; PyPA's build, which answers to the same words, is not meant."""

import sys

sys.exit("this is Turnout's build package; run `turnout build`")
