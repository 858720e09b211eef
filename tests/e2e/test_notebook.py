"""test.ipynb runs from top to bottom in Jupyter, with its running event loop."""

from pathlib import Path

import nbclient
import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[2] / "test.ipynb"


@pytest.fixture(scope="module")
def executed():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=110, kernel_name="python3").execute()
    return notebook


def outputs(notebook, kind):
    """Return the outputs of the cells of one MIME type, or their printed text."""
    shown = [one for cell in notebook.cells if cell.cell_type == "code" for one in cell.outputs]
    if kind == "printed":
        return [one["text"] for one in shown if one.output_type == "stream"]
    return [one["data"][kind] for one in shown if kind in one.get("data", ())]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
class TestNotebook:
    def test_it_trades_and_every_bar_is_the_official_one(self, executed):
        texts = outputs(executed, "text/plain")
        [certificate] = [text for text in texts if text.startswith("Certificate(")]
        assert "delivered=90" in certificate
        assert "corrected=0" in certificate
        assert "missing=0" in certificate
        [progress] = outputs(executed, "text/markdown")
        assert progress.startswith("15:00, ")
        assert not any("refused" in text for text in outputs(executed, "printed"))

    def test_it_shows_pictures_and_tables(self, executed):
        assert len(outputs(executed, "image/png")) == 3  # history, and two of the report
        tables = "\n".join(outputs(executed, "text/html"))
        for word in ("upper_limit", "commission", "settlement_balance", "open", "close"):
            assert word in tables

    def test_it_is_kept_without_outputs(self):
        cells = [cell for cell in nbformat.read(NOTEBOOK, 4).cells if cell.cell_type == "code"]
        assert not any(cell.outputs or cell.execution_count for cell in cells)
