"""`turnout fit`: its options."""

from typing import Annotated

import typer

from stacks.fit.dtypes import Dtype, KvDtype
from turnout.terminal import AsJson, emit, out


def fit_command(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder with config.json, a config.json itself, or hf://org/name@revision."
        ),
    ],
    context: Annotated[
        int | None,
        typer.Option(
            help="Tokens of a request with its answer; what the model reads, at most 8192.", min=1
        ),
    ] = None,
    concurrency: Annotated[
        int, typer.Option(help="Requests at once, each as long as that.", min=1)
    ] = 8,
    dtype: Annotated[
        Dtype,
        typer.Option(
            help="The weights: as the checkpoint has them (float32 in 16 bits), or fp8, quantized as they are loaded."
        ),
    ] = Dtype.AUTO,
    kv_dtype: Annotated[
        KvDtype, typer.Option(help="The KV cache: as the weights, or in 8 bits.")
    ] = KvDtype.AUTO,
    instance: Annotated[
        list[str] | None,
        typer.Option(help="Look at this instance type only; may be given several times."),
    ] = None,
    region: Annotated[str, typer.Option(help="The region whose prices count.")] = "us-east-1",
    utilization: Annotated[
        float, typer.Option(help="The share of a GPU's memory that vLLM may use.", min=0.1, max=1)
    ] = 0.92,
    reserve_gib: Annotated[
        float,
        typer.Option(help="GiB of that for CUDA graphs and the like; an assumption.", min=0),
    ] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Say which GPU instance a causal language model fits under vLLM, and what it costs a month. Deploys nothing.

    The weights are those of the checkpoint, or computed from config.json; the KV cache is what vLLM keeps of the tokens
    of each request. Several requests at once may need several copies, each on one GPU or split over some of an
    instance's (tensor parallelism). Where nothing fits, it says what is too much by how much, which options would help,
    and exits with 1.

    turnout fit hf://Qwen/Qwen3-8B --concurrency 32

    turnout fit my-model/ --context 32768 --kv-dtype fp8

    turnout fit config.json --instance ml.g6e.xlarge
    """
    # What they import takes longer than most commands.
    from stacks.instances import all_instances, find_instance
    from turnout.fit.fitting import Wanted, fit
    from turnout.fit.shown import show
    from turnout.fit.source import describe

    known = all_instances()
    wanted = Wanted(
        context=context,
        concurrency=concurrency,
        utilization=utilization,
        reserve_gib=reserve_gib,
        dtype=dtype,
        kv_dtype=kv_dtype,
        region=region,
        table={name: find_instance(name, known) for name in instance} if instance else known,
    )
    found = fit(describe(source), wanted)
    emit(as_json, found.to_json(), lambda: show(found, out))
    if not found.choice.offers:
        raise typer.Exit(1)
