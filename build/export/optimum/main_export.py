"""Export of a Hugging Face folder by optimum; runs where optimum is installed.

`python -I main_export.py OPTIONS`: OPTIONS is a JSON object with the arguments of optimum's `main_export`. An error is
the last line of standard error. Nothing of ours is imported, as the environment holds none of it.
"""

import json
import logging
import sys
import warnings


def main() -> None:
    """Export as the options say; leave with the type and the message of any error."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    try:
        from optimum.exporters.onnx import main_export

        main_export(**json.loads(sys.argv[1]))
    except Exception as error:  # of exporter and model code alike, so of any type
        sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())}")


if __name__ == "__main__":
    main()
