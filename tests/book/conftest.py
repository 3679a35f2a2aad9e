"""A copy of the book with stand-ins for what a run generates, built once for all tests here."""

import base64
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

REPOSITORY = Path(__file__).parents[2]

# What `pecg report` writes before a build: whole pages, and fragments that the chapter includes.
GENERATED = {
    "datasets.md": "# Datasets side by side\n\n[One](dataset-ludb.md), {tag}`full`.\n",
    **{
        f"dataset-{name}.md": f"# {name}\n"
        for name in ("challenge", "hospitals", "cpsc2018", "leipzig", "ludb", "mitdb", "pe")
    },
    "twins.md": "# How good the twins are\n\nTold apart.\n",
    "dataset-zzu.md": "# ZZU-pECG\n\nRecordings of children at 500 Hz, in mV.\n",
    "dataset-ptbxl.md": "# PTB-XL\n\nRecordings of adults, 10 s each {cite}`wagner2020ptbxl`.\n",
    "claims.md": "# All claims\n\n"
    "| claim | paper | here | data | verdict |\n| --- | --- | --- | --- | --- |\n"
    "| ResNet-1D, 12 leads, macro F1 (%) | 94.67 | 71.2 (68.0 to 74.1) | *twin* |"
    " not comparable: simulated recordings |\n",
    "models.md": "# Models\n\n| model | weights |\n| --- | --- |\n| resnet1d | 8,700,000 |\n",
    "benchmark-claims.md": "| claim | paper | here | data |\n| --- | --- | --- | --- |\n"
    "| ResNet-1D, 12 leads, macro F1 (%) | 94.67 | 71.2 (68.0 to 74.1) | {tag}`twin` |\n",
    "benchmark-kept.md": "| record | data | macro F1 (%) |\n| --- | --- | --- |\n"
    "| `0123456789ab` | {tag}`subset` | 40.1 (31.0 to 49.5) |\n",
}
OTHER_CHAPTERS = {
    "cnn_ecg_mamba": "CNN-ECG-Mamba",
    "agcacl": "AGCACL",
    "mrmnet": "MRM-Net",
    "peace": "PEACE",
    "ecgs_enough": "Are ECGs enough?",
}


def figure() -> str:
    """A wide figure as base64 PNG."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 3), layout="constrained")
    axes.plot([0, 1, 2, 3], [0, 0.1, 1.2, 0])
    axes.set(xlabel="time (s)", ylabel="lead II (mV)")
    file = io.BytesIO()
    figure.savefig(file, format="png")
    plt.close(figure)
    return base64.b64encode(file.getvalue()).decode()


def chapter() -> nbformat.NotebookNode:
    """An executed notebook with a figure, a wide table, a run's progress, a formula and tags."""
    v4 = nbformat.v4
    table = "".join(f"<th>disease number {i}</th>" for i in range(19))
    cells = [
        v4.new_markdown_cell(
            "# The ZZU-pECG benchmark\n\nWindows of 3 s *paper*, an anti-alias filter *ours*. "
            "The {term}`twin` stands in. The loss is "
            "$L = -\\frac{1}{NC}\\sum_{i,c} w_c\\, y_{ic} \\log p_{ic}$.\n\n"
            "```{include} ../generated/benchmark-claims.md\n```\n\n"
            "```{include} ../generated/benchmark-kept.md\n```"
        ),
        v4.new_code_cell(
            "plot(recording)",
            execution_count=1,
            metadata={"mystnb": {"image": {"alt": "Lead II over 3 s with one tall beat."}}},
            outputs=[
                v4.new_output("stream", name="stderr", text="epoch 3 of 9, 12 s left"),
                v4.new_output("display_data", data={"image/png": figure(), "text/plain": "fig"}),
            ],
        ),
        v4.new_code_cell(
            "results",
            execution_count=2,
            outputs=[
                v4.new_output(
                    "execute_result",
                    execution_count=2,
                    data={
                        "text/html": '<table border="1" class="dataframe"><thead><tr>'
                        f"{table}</tr></thead></table>",
                        "text/plain": "results",
                    },
                )
            ],
        ),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


@pytest.fixture(scope="session")
def copy_book() -> Callable[[Path], Path]:
    """Copies the written book to a folder, puts stand-ins beside it, and gives the folder back."""

    def copy(root: Path) -> Path:
        shutil.copytree(
            REPOSITORY / "book",
            root / "book",
            ignore=shutil.ignore_patterns("generated", "papers", "__pycache__"),
        )
        shutil.copy(REPOSITORY / "_config.yml", root)
        (root / "book/generated").mkdir()
        for name, text in GENERATED.items():
            (root / "book/generated" / name).write_text(text, encoding="utf-8")
        (root / "book/papers").mkdir()
        nbformat.write(chapter(), root / "book/papers/benchmark.ipynb")
        for name, title in OTHER_CHAPTERS.items():
            other = chapter()
            other.cells[0].source = f"# {title}\n\nA {{term}}`twin` stands in."
            nbformat.write(other, root / f"book/papers/{name}.ipynb")
        return root

    return copy


@pytest.fixture(scope="session")
def build_book() -> Callable[[Path], subprocess.CompletedProcess[str]]:
    """Builds the book in a folder as strictly as `make book`; output and errors in `stdout`."""

    def build(root: Path) -> subprocess.CompletedProcess[str]:
        command = "build book --config _config.yml --path-output . -n -W --keep-going"
        return subprocess.run(
            [str(Path(sys.executable).parent / "jupyter-book"), *command.split()],
            cwd=root,
            env={**os.environ, "NO_COLOR": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )

    return build


@pytest.fixture(scope="session")
def html(
    tmp_path_factory: pytest.TempPathFactory,
    copy_book: Callable[[Path], Path],
    build_book: Callable[[Path], subprocess.CompletedProcess[str]],
) -> Path:
    """The folder of the built pages."""
    root = copy_book(tmp_path_factory.mktemp("book"))
    done = build_book(root)
    assert done.returncode == 0, done.stdout
    return root / "_build/html"
