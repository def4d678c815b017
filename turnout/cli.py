"""The commands of `turnout`, in the order of its help."""

import io
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from contracts.models_toml import read_models_toml
from contracts.specs import Objective
from contracts.tasks import Tier
from turnout.batch.command import batch_command
from turnout.calibrate.command import calibrate_command
from turnout.doctor.command import doctor_command
from turnout.fit.command import fit_command
from turnout.image.command import image_command
from turnout.init.command import init_command
from turnout.keys import add_key, read_keys, remove_key
from turnout.leaving.command import down_command, orphans_command, status_command
from turnout.plan.command import plan_command
from turnout.push.command import push_command
from turnout.run.command import run_command
from turnout.sam.command import sam_command
from turnout.signing.command import sign_command, vouch_command
from turnout.terminal import (
    CONFIG,
    KEYS,
    OUT,
    AsJson,
    CaFile,
    Config,
    Key,
    KeysFile,
    Out,
    PinnedTier,
    Url,
    emit,
    exit_with_message,
    log,
    out,
)
from turnout.up.command import up_command
from turnout.verify.command import verify_command

HELP = """Put a fine-tuned language model behind one HTTPS endpoint.

models.toml lists the models. `turnout init SOURCE` adds one to it; `turnout build` turns each source into sealed
artefacts that are proven to answer like the reference, the model run by its own library; `turnout plan` lists the
stacks of a deployment and what they cost; `turnout up` deploys all of it into a local cloud; `cdk deploy
--all` deploys the same stacks to AWS.
"""

app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)
keys_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(
    keys_app, name="keys", help="Make and remove the bearer keys that the router accepts."
)

app.command("init")(init_command)


@app.command("build")
def build_command(
    models: Annotated[
        list[str] | None, typer.Argument(help="Models to build; all when none is named.")
    ] = None,
    config: Config = CONFIG,
    out_dir: Out = OUT,
    objective: Annotated[
        Objective | None,
        typer.Option(
            help="Ship the candidate that is best at this, instead of the objective in models.toml."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Turn each model's source into sealed artefacts, and prove that they answer like the reference.

    What is current is skipped. An artefact that fails its gate is not published, and the figures show why.
    """
    # Commands import what they need: `turnout --help` answers before torch or the CDK could be imported.
    from turnout import building

    wanted = building.with_objective(read_models_toml(config), objective)
    built = building.build(wanted, out_dir, models or None, log)
    emit(as_json, built, lambda: building.show(built, out))


app.command("verify")(verify_command)
app.command("calibrate")(calibrate_command)


@app.command("inspect")
def inspect_command(
    model: Annotated[str, typer.Argument(help="The model's name, as in models.toml.")],
    tier: Annotated[Tier, typer.Option(help="Which of its artefacts.")] = Tier.CPU,
    layers: Annotated[
        bool,
        typer.Option("--layers", help="Print the difference of each layer from the reference's."),
    ] = False,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Write event files for TensorBoard to a new folder.")
    ] = None,
    port: Annotated[
        int, typer.Option(help="Port on loopback; 0 takes a free one.", min=0, max=65535)
    ] = 0,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
    config: Config = CONFIG,
    out_dir: Out = OUT,
    as_json: AsJson = False,
) -> None:
    """Show the graphs of the reference and of the artefact side by side in Netron, until Ctrl-C.

    With --layers or --tensorboard, print or write that instead, and end.
    """
    from turnout import inspecting

    of = inspecting.subject(read_models_toml(config), out_dir, model, tier, log)
    if layers:
        found = inspecting.layers(of, log)
        emit(as_json, found, lambda: inspecting.show_layers(found, out))
    if tensorboard:
        written = inspecting.tensorboard(of, out_dir, tensorboard, log)
        emit(as_json, written, lambda: inspecting.show_written(written, out))
    if not layers and not tensorboard:
        inspecting.netron(of, port, browser, partial(emit, as_json), log)


app.command("plan")(plan_command)
app.command("fit")(fit_command)
app.command("doctor")(doctor_command)
app.command("up")(up_command)
app.command("status")(status_command)
app.command("orphans")(orphans_command)
app.command("down")(down_command)


@app.command("call")
def call_command(
    model: Annotated[str, typer.Argument(help="The model's name, as in models.toml.")],
    texts: Annotated[list[str], typer.Argument(help="One or more texts, or with --objects JSON.")],
    tier: PinnedTier = None,
    top_k: Annotated[
        int | None, typer.Option(help="How many labels to answer with.", min=1)
    ] = None,
    parameters: Annotated[
        str | None,
        typer.Option("--parameters", "-p", help="The task's parameters, such as '{\"top_k\": 2}'."),
    ] = None,
    objects: Annotated[
        bool,
        typer.Option(
            "--objects", help='Inputs are objects: \'{"question": "…", "context": "…"}\'.'
        ),
    ] = False,
    url: Url = None,
    key: Key = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Send texts to the endpoint: the one that `turnout up` runs, or any with --url and --key."""
    from turnout import calling
    from turnout.fronts import find_front

    wanted = calling.parameters_of(parameters) | ({"top_k": top_k} if top_k else {})
    document: dict[str, Any] = {"inputs": calling.inputs_of(texts, objects=objects)}
    document |= {"parameters": wanted} if wanted else {}
    document |= {"tier": tier} if tier else {}
    reply = calling.call(find_front(model, url, key, ca_file), model, document)
    emit(as_json, reply.body, lambda: calling.show(reply, texts, out))
    if reply.status != 200:
        raise typer.Exit(1)


app.command("batch")(batch_command)
app.command("push")(push_command)
app.command("image")(image_command)
app.command("run")(run_command)
app.command("sam")(sam_command)
app.command("sign")(sign_command)
app.command("vouch")(vouch_command)


@keys_app.command("add")
def keys_add(
    name: Annotated[str, typer.Argument(help="Whose key it is, such as ci or mobile-app.")],
    keys: KeysFile = KEYS,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, once; only its hash is stored, and deployed by the next `cdk deploy`."""
    key = add_key(keys, name)
    log.print(f"{name}: its hash is in {keys}; the key itself is shown now and never again")
    emit(as_json, {"name": name, "key": key}, lambda: out.print(key, soft_wrap=True))


@keys_app.command("remove")
def keys_remove(
    name: Annotated[str, typer.Argument(help="The key's name.")],
    keys: KeysFile = KEYS,
    as_json: AsJson = False,
) -> None:
    """Remove a key; the router refuses it from the next `cdk deploy` on."""
    remove_key(keys, name)
    emit(as_json, {"removed": name}, lambda: out.print(f"{name} is removed from {keys}"))


@keys_app.command("list")
def keys_list(keys: KeysFile = KEYS, as_json: AsJson = False) -> None:
    """List the keys that the next deployment accepts."""
    found = read_keys(keys)
    empty = f"{keys} has no key, so the router would refuse every request; make one with `turnout keys add NAME`"
    emit(as_json, found, lambda: out.print("\n".join(found) or empty, soft_wrap=True))


def main() -> None:
    """Run the console script; characters that the terminal's encoding lacks are replaced."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    exit_with_message(app, log)
