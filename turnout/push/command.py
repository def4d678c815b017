"""`turnout push`: its options."""

import os
from typing import Annotated

import typer

from contracts.models_toml import read_models_toml
from turnout.terminal import CONFIG, OUT, AsJson, Config, Out, emit, log, out


def push_command(
    model: Annotated[str, typer.Argument(help="The model's name, as in models.toml.")],
    source: Annotated[
        str | None,
        typer.Argument(
            help="A folder, or hf://org/name@revision; what models.toml names by default."
        ),
    ] = None,
    config: Config = CONFIG,
    out_dir: Out = OUT,
    as_json: AsJson = False,
) -> None:
    """Put the weights of a large language model into the deployment's bucket, for AWS's vLLM container.

    Of a repository on the Hugging Face Hub each shard is sent on as it comes, and never lies on this machine. A push
    that was cut off goes on where it stopped, and what is there already is neither read nor sent again. HF_TOKEN is
    the token for models that are not public.

    The model has a config.json, a tokenizer, and weights in safetensors: one file, or shards with their index. Then
    deploy it by `npx cdk deploy --all`, and have its endpoint answer your rows by `turnout verify MODEL --tier gpu`.
    """
    from turnout.deployed.clients import MANY, OBJECT_S, clients_in
    from turnout.push import pushing
    from turnout.push.kept import KEPT, Kept

    deployment = read_models_toml(config)
    spec, gpu = pushing.model_of(deployment, model)
    tree = pushing.tree_of(source or gpu.source or spec.source, os.environ)
    clients = clients_in(deployment.region, attempts=MANY, read_s=OBJECT_S)
    try:
        pushed = pushing.push(deployment, spec, tree, out_dir, clients, log, Kept(KEPT))
    except KeyboardInterrupt:
        log.print(
            f"what was sent stays, without its marker: `turnout push {model}` goes on behind it"
        )
        raise
    emit(as_json, pushed.to_json(), lambda: pushing.show(pushed, out))
