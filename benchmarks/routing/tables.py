"""The rows of the published tables: both models, routers, the bound, and what it all costs."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from benchmarks.record import Row
from benchmarks.routing.answers import INSTANCE, MEMORY_MB, Answered
from benchmarks.routing.bounds import (
    accuracy_difference,
    calibration_errors,
    mean_of,
    resplits,
)
from benchmarks.routing.costs import Bill, Load, function_bill, gpu_bill, run_of
from benchmarks.routing.curves import Estimate, curve
from benchmarks.routing.routers import ROUTERS, gain_of
from build.cascade.answers import Answers
from build.cascade.calibrating import Asked, calibration_of
from build.cascade.errors import CalibrationFailed
from build.cascade.rows import halves
from contracts.cascade.calibration import Calibration
from contracts.manifest import file_sha256

LOSSES = (0.01, 0.02, 0.05)
# The bound that a cascade has by default, at which its costs are computed.
DEFAULT_LOSS = 0.01


def percent(estimate: Estimate, digits: int = 1) -> str:
    """Return a share with its interval, in percent."""
    low, high = (f"{100 * value:.{digits}f}" for value in (estimate.low, estimate.high))
    return f"{estimate.value:.{digits}%} ({low} to {high})"


def signed(estimate: Estimate) -> str:
    """Return a difference of shares with its interval, in percentage points."""
    low, high = (f"{100 * value:+.2f}" for value in (estimate.low, estimate.high))
    return f"{100 * estimate.value:+.2f} ({low} to {high})"


def calibrated(found: Answered, max_loss: float) -> Calibration | None:
    """Return the calibration that `turnout calibrate` makes of the rows; None where no threshold keeps the bound."""
    asked = Asked(rows=found.rows_file, max_loss=max_loss)
    try:
        return calibration_of("routed", found.tiers, found.rows, found.answers, asked)
    except CalibrationFailed:
        return None


def split(found: Answered) -> tuple[Answers, Answers]:
    """Return the answers to fit on and those to test on, as a calibration divides them."""
    fit, test = halves(found.rows, file_sha256(found.rows_file))
    return found.answers.at(fit), found.answers.at(test)


def model_row(title: str, found: Answered) -> Row:
    """Return what both models are, and how far the small one's confidence can be trusted."""
    answers = found.answers
    before, after = calibration_errors(*split(found))
    return {
        "set": title,
        "rows": len(found.rows),
        "always CPU": percent(mean_of(answers.cpu_right.astype(np.float64))),
        "always GPU": percent(mean_of(answers.gpu_right.astype(np.float64))),
        "GPU's minus CPU's, points": signed(mean_of(gain_of(answers))),
        "either right": f"{(answers.cpu_right | answers.gpu_right).mean():.1%}",
        "ECE before": f"{before.value:.3f} ({before.low:.3f} to {before.high:.3f})",
        "ECE after": f"{after.value:.3f} ({after.low:.3f} to {after.high:.3f})",
    }


def router_rows(title: str, found: Answered) -> Iterator[Row]:
    """Yield each router's figures."""
    gain = gain_of(found.answers)
    for name, urgency in ROUTERS.items():
        figures = curve(urgency(found.texts, found.answers), gain)
        area = figures.apgr
        yield {
            "set": title,
            "router": name,
            "APGR": f"{area.value:.3f} ({area.low:.3f} to {area.high:.3f})",
            "CPT50": percent(figures.cpt50),
            "CPT80": percent(figures.cpt80),
            "resamples without a gap": f"{figures.undefined:.1%}",
        }


def bound_rows(title: str, found: Answered) -> Iterator[Row]:
    """Yield what is kept and lost at each bound, and whether it holds on rows that chose nothing."""
    _, test = split(found)
    for max_loss in LOSSES:
        tried = resplits(found.answers, max_loss)
        low, middle, high = np.percentile(tried.kept, [5, 50, 95])
        found_here = calibrated(found, max_loss)
        point = found_here.chosen if found_here else None
        yield {
            "set": title,
            "lost at most": f"{max_loss:.0%}",
            "kept": f"{point.kept:.1%}" if point else "none",
            "lost": f"{point.lost:.2%} of {len(test.same)}" if point else "",
            "both minus GPU, points": (
                signed(accuracy_difference(test, point.threshold)) if point else ""
            ),
            "kept in resplits": f"{middle:.0%} ({low:.0%} to {high:.0%})",
            "above": f"{tried.above:.1%}",
            "beyond noise": f"{tried.beyond_noise:.1%}",
        }


def cost_rows(load: Load, found: Mapping[str, Answered], gpu_ms: float) -> Iterator[Row]:
    """Yield the bills of a load: of a GPU alone, day and night and by hours, and of each set's cascade."""
    alone = gpu_bill(load, gpu_ms, INSTANCE)

    def row(way: str, one: Bill, difference: str) -> Row:
        return {
            "rate": load.title,
            "way": way,
            "function": f"${one.function_usd:,.2f}",
            "instances": f"${one.instances_usd:,.0f}",
            "less than GPU alone": f"{1 - one.usd / alone.usd:.0%}",
            "met no GPU": f"{one.degraded:.2%}",
            "right, minus GPU alone, points": difference,
        }

    yield row("GPU alone", alone, "0")
    if load.awake:
        yield row("GPU alone, by hours", gpu_bill(load, gpu_ms, INSTANCE, by_hours=True), "0")
    for title, one in found.items():
        _, test = split(one)
        calibration = calibrated(one, DEFAULT_LOSS)
        kept = test.confidences >= (calibration.chosen.threshold if calibration else np.inf)
        share = float(1 - kept.mean())
        gpu = gpu_bill(load.escalated(share), gpu_ms, INSTANCE, by_hours=True)
        function = function_bill(load, run_of(one.cpu_ms, MEMORY_MB))
        # What meets no GPU is answered by the CPU tier as well.
        by_cpu = np.where(kept, 1.0, gpu.degraded)
        yield row(
            f"cascade, {title}, {share:.0%} escalated",
            replace(gpu, function_usd=function.function_usd),
            signed(mean_of(by_cpu * -gain_of(test))),
        )
