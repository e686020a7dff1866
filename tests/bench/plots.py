"""plots.py - the plots of the benchmarks, as SVG files (matplotlib; Debian: python3-matplotlib).

Each function writes one file into a folder and returns its name. Without matplotlib nothing is drawn
and the name is None; the tables have the same numbers. Equal numbers give equal files: no date, no
random ids.
"""

import pathlib
import statistics

try:
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "kvs"
    import matplotlib.pyplot as pyplot
except ImportError:
    pyplot = None


def _figure(title, y_label):
    figure, axes = pyplot.subplots(figsize=(7, 4))
    axes.set_title(title, fontsize=11)
    axes.set_ylabel(y_label)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    return figure, axes


def _save(figure, axes, folder, name):
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))  # beside what it explains
    figure.tight_layout()
    file = f"{name}.svg"
    figure.savefig(pathlib.Path(folder) / file, metadata={"Date": None}, bbox_inches="tight")
    pyplot.close(figure)
    return file


def lines(folder, name, title, x_label, y_label, x_values, series):
    """`series`: name -> one y per x. The x axis is doubling."""
    if pyplot is None:
        return None
    figure, axes = _figure(title, y_label)
    for label, values in series.items():
        axes.plot(x_values, values, marker="o", label=label)
    axes.set_xlabel(x_label)
    axes.set_xscale("log", base=2)
    axes.set_xticks(x_values, [str(x) for x in x_values])
    axes.minorticks_off()
    return _save(figure, axes, folder, name)


def bars(folder, name, title, y_label, groups, series):
    """`series`: name -> one value per group."""
    if pyplot is None:
        return None
    figure, axes = _figure(title, y_label)
    width = 0.8 / len(series)
    for n, (label, values) in enumerate(series.items()):
        axes.bar([group + n * width for group in range(len(groups))], values, width, label=label)
    axes.set_xticks([group + 0.4 - width / 2 for group in range(len(groups))], groups)
    return _save(figure, axes, folder, name)


def of_servers(folder, samples):
    """Figures 1-5: throughput against the depth of the pipeline, and latencies. `samples`: (operation,
    pipeline) -> server -> [Sample, ...]."""
    made = []
    operations = sorted({operation for operation, _ in samples})
    depths = sorted({pipeline for _, pipeline in samples if pipeline > 0})

    def medians(operation, kind, pipelines, field):
        return [statistics.median(getattr(s, field) for s in samples[operation, p][kind])
                for p in pipelines]

    if depths:
        series = {f"{kind}, {operation.upper()}": medians(operation, kind, depths, "rps")
                  for operation in operations for kind in ("kvs", "redis")}
        made.append(lines(folder, "throughput", "Throughput against pipeline depth, 50 clients",
                          "pipeline", "requests/s", depths, series))
    for pipeline in sorted({pipeline for _, pipeline in samples}):
        fields = ["p50_us", "p99_us"] + (["p999_us"] if pipeline == 0 else [])
        series = {f"{kind}, {operation.upper()}": [medians(operation, kind, [pipeline], field)[0]
                                                   for field in fields]
                  for operation in operations if (operation, pipeline) in samples
                  for kind in ("kvs", "redis")}
        load = "one client" if pipeline == 0 else f"50 clients, pipeline {pipeline}"
        made.append(bars(folder, f"latency_{pipeline}", f"Latency, {load}", "us",
                         [field.removesuffix("_us").replace("p999", "p99.9") for field in fields], series))
    return made
