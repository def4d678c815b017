"""`turnout status`: each stack of a deployment, of `models.toml` or left behind, and what it has cost this month."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from contracts.names import weights_stack
from contracts.specs import Deployment
from turnout.deployed.endpoints import GpuEndpoint
from turnout.deployed.inventory import Inventory, orphans, stack_json
from turnout.deployed.stacks import stacks_of
from turnout.leaving.listing import lines
from turnout.leaving.spending import LEFT_OUT, Cost, costs

NOT_DEPLOYED = "not deployed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A deployment as it was found at a time, its orphans, and its costs since the first of the month."""

    deployment: Deployment
    found: Inventory
    orphans: Inventory
    costs: Sequence[Cost]
    now: datetime

    @property
    def outputs(self) -> dict[str, str]:
        """Return the outputs of the router's stack."""
        return dict(pair for stack in self.found.stacks for pair in stack.outputs)

    @property
    def url(self) -> str:
        return self.outputs.get("Url", "")

    @property
    def stream_url(self) -> str:
        """Return where the deployment streams; empty where no model writes."""
        return self.outputs.get("StreamUrl", "")

    @property
    def domain(self) -> dict[str, str] | None:
        """Return the URLs of the custom domain, and the target of a record that the user makes; None without one."""
        names = {"url": "DomainUrl", "stream_url": "DomainStreamUrl", "target": "DomainTarget"}
        found = {key: self.outputs.get(name, "") for key, name in names.items()}
        return found if found["url"] else None

    @property
    def total(self) -> float:
        return sum(one.usd for one in self.costs)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield a row for each stack that is there, and for each of `models.toml` that is not."""
        own = stacks_of(self.deployment)
        dollars = {one.about: one.usd for one in self.costs}
        for stack in self.found.stacks:
            endpoints = [one for one in self.found.endpoints if one.stack == stack.name]
            yield {
                **stack_json(stack),
                "runs": "; ".join(map(runs, endpoints)),
                "orphan": stack.name not in own,
                "usd_this_month": round(dollars.get(stack.name, 0.0), 2),
            }
        # Not every model whose weights could be pushed has any.
        bucket = {weights_stack(self.deployment.name)}
        for name in sorted(own - bucket - {one.name for one in self.found.stacks}):
            yield {"stack": name, "state": NOT_DEPLOYED}

    def to_json(self) -> dict[str, Any]:
        return {
            "deployment": self.deployment.name,
            "region": self.deployment.region,
            "account": self.found.account,
            "url": self.url,
            "stream_url": self.stream_url,
            "domain": self.domain,
            "stacks": list(self.rows()),
            "usd_this_month": round(self.total, 2),
            "costs": [one.to_json() for one in self.costs],
            "not_counted": LEFT_OUT,
            "orphans": self.orphans.to_json(),
        }


def status_of(deployment: Deployment, found: Inventory, now: datetime) -> Status:
    """Return the status of a deployment at a time with a zone."""
    return Status(
        deployment=deployment,
        found=found,
        orphans=orphans(found, deployment, now),
        costs=costs(found, deployment.region, now),
        now=now,
    )


def runs(endpoint: GpuEndpoint) -> str:
    """Return the state of an endpoint with its instances and the copies of its model."""
    copies = sum(one.copies for one in endpoint.components)
    return (
        f"{endpoint.status}, copies {copies}, instances {endpoint.instances} × {endpoint.instance}"
    )


def _header(status: Status) -> Iterator[str]:
    """Yield where the deployment is, and its URLs."""
    place = f"{status.deployment.region}, account {status.found.account}"
    urls = _joined(status.url, status.stream_url)
    yield f"{status.deployment.name} in {place}{f', at {urls}' if urls else ''}"
    if domain := status.domain:
        yield f"by its domain at {_joined(domain['url'], domain['stream_url'])}"
        if target := domain["target"]:
            name = domain["url"].removeprefix("https://")
            yield f"the record that is yours to make: {name} CNAME {target}"


def _joined(*urls: str) -> str:
    """Return the URL of whole answers, and that of streams where there is one."""
    return ", streams at ".join(filter(None, urls))


def _table(status: Status) -> Table:
    names = ("stack", "state", "version", "since (UTC)", "this month", "endpoint")
    table = Table(*names, box=None, pad_edge=False)
    for row in status.rows():
        if row["state"] == NOT_DEPLOYED:
            table.add_row(row["stack"], NOT_DEPLOYED)
            continue
        since, usd = f"{row['since']:%Y-%m-%d %H:%M}", f"${row['usd_this_month']:,.2f}"
        version = row["version"] or "–"
        table.add_row(row["stack"], row["state"], version, since, usd, row["runs"])
    return table


def show(status: Status, console: Console) -> None:
    """Print the stacks, the dollars with how they are computed, and the orphans."""
    for line in _header(status):
        console.print(line, soft_wrap=True)
    console.print()
    console.print(_table(status))
    console.print(f"\n${status.total:,.2f} so far in {status.now:%B %Y}:")
    for cost in status.costs:
        console.print(f"  {cost.about}: ${cost.usd:,.2f} = {cost.computed}", soft_wrap=True)
    console.print(LEFT_OUT, soft_wrap=True)
    for row in status.rows():
        if row.get("reason"):
            console.print(f"{row['stack']}: {row['reason']}", soft_wrap=True, markup=False)
    left = list(lines(status.orphans))
    if left:
        console.print("\nNot in models.toml any more; `turnout orphans --delete` removes:")
        for line in left:
            console.print(f"  {line}", soft_wrap=True, markup=False)
