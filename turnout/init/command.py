"""`turnout init`: its options, and what it prints."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from contracts.models_toml import read_models_toml
from contracts.specs import SourceOptions
from contracts.tasks import Task
from turnout.terminal import CONFIG, OUT, AsJson, Config, Out, emit, log, out


def init_command(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder or file with a model, hf://org/name@revision or s3://bucket/prefix."
        ),
    ],
    task: Annotated[
        Task | None, typer.Option(help="What the model does; found in its files by default.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The model's name in every URL; made from the source.")
    ] = None,
    rows: Annotated[
        Path | None,
        typer.Option("--eval", help="Your own rows as JSON lines, in place of a sample's."),
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(help="Tokens read of each text; the model's own.", min=2)
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="The tokenizer.json of a bare graph without one beside it.")
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(help="A label of a bare graph; once for each output, in their order."),
    ] = None,
    graph_input: Annotated[
        list[str] | None,
        typer.Option("--input", help="What an input of a bare graph is; once for each, in order."),
    ] = None,
    pickle: Annotated[
        bool, typer.Option("--pickle", help="Read weights from a pickle; nothing in it is run.")
    ] = False,
    build: Annotated[bool, typer.Option("--build", help="Build the model at once.")] = False,
    config: Config = CONFIG,
    out_dir: Out = OUT,
    as_json: AsJson = False,
) -> None:
    """Add a model to models.toml: find out what it does, and write its table and rows to prove it on.

    The rows are a sample that comes with Turnout, so that the first artefact needs none of yours; it says so until you
    replace them. An hf:// source is pinned to the commit that its revision is now. Of a remote model only settings and
    tokenizer are downloaded, unless --build goes on to build it.

    turnout init hf://org/name --build        from a model on the Hub to a sealed artefact

    turnout init models/my-model              a folder as save_pretrained writes it

    turnout init model.onnx --tokenizer tokenizer.json --label bad --label good
    """
    from turnout.init.adding import Request, add
    from turnout.init.question import choose

    options = SourceOptions(
        tokenizer=tokenizer,
        labels=tuple(label or ()),
        inputs=tuple(graph_input or ()),
        allow_pickle=pickle,
    )
    request = Request(
        source=source,
        config=config,
        out=out_dir,
        task=task,
        name=name,
        rows=rows,
        max_tokens=max_tokens,
        options=options,
        build=build,
    )
    answers = sys.stdin.isatty() and log.is_terminal
    added = add(request, lambda where, tasks: choose(where, tasks, log, answers=answers))
    document: dict[str, Any] = {
        "model": added.name,
        "source": added.source,
        "task": added.task,
        "eval": added.rows,
        "sample": added.sample,
        "new": added.new,
        "config": config,
    }
    if not build:
        emit(as_json, document, lambda: show(document, out))
        return
    show(document, log)
    from turnout import building

    built = building.build(read_models_toml(config), out_dir, [added.name], log)
    emit(as_json, {**document, "built": built}, lambda: building.show(built, out))


def show(document: dict[str, Any], console: Console) -> None:
    """Print what was written, and the next step."""
    name, where = document["model"], document["config"]
    verb = "is now" if document["new"] else "was already"
    lines = [f"{name} ({document['task']}) {verb} in {where}: {document['source']}"]
    if document["sample"]:
        lines.append(
            f"{document['eval']} has rows of the sample; they prove agreement on these alone, so add your own"
        )
    lines.append(f"next: `turnout build {name}`")
    console.print("\n".join(lines), markup=False, soft_wrap=True)
