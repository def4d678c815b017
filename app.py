"""The CDK app: reads what was written and built, and synthesises the stacks. `cdk deploy --all` runs it."""

import os
import sys
from pathlib import Path

from contracts.errors import TurnoutError
from contracts.models_toml import read_models_toml
from turnout.deployed.warning import watch
from turnout.keys import read_keys

ROOT = Path(__file__).resolve().parent


def main() -> None:
    # Images keep the modes of what the CDK copies into its assembly, which functions read as another user.
    os.umask(0o022)
    # The CDK's own process starts with this import, and takes the umask over.
    from stacks.app import Inputs, make_app

    try:
        inputs = Inputs(
            deployment=read_models_toml(
                Path(os.environ.get("TURNOUT_CONFIG", ROOT / "models.toml"))
            ),
            out=Path(os.environ.get("TURNOUT_OUT", ROOT / "models.out")),
            key_hashes=read_keys(Path(os.environ.get("TURNOUT_KEYS", ROOT / "keys.toml"))),
            staging=Path(os.environ.get("TURNOUT_STAGING", ROOT / ".turnout/staging")),
            images=Path(os.environ.get("TURNOUT_IMAGES", ROOT / "images.out")),
            account=os.environ.get("CDK_DEFAULT_ACCOUNT"),
        )
        # The CDK's command line names an account if it has credentials; without any there is nobody to ask.
        warnings = watch(inputs.deployment, inputs.account) if inputs.account else list
        app = make_app(inputs)
    except TurnoutError as error:
        sys.exit(f"error[{error.code}]: {error}")
    if not inputs.key_hashes:
        sys.stderr.write(
            "note: no key is deployed, so every request is refused; `turnout keys add NAME`\n"
        )
    app.synth()
    for line in warnings():
        sys.stderr.write(f"{line}\n")


main()
