"""What was measured, and how a figure is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.peers.rows import Row


@dataclass(frozen=True)
class Figure:
    """The samples of one row and one contender, or the reason why there is none."""

    samples: Sequence[float] = ()
    failure: str = ""

    @property
    def median(self) -> float | None:
        """The middle of the samples."""
        return median(self.samples) if self.samples else None

    @property
    def spread(self) -> str:
        """The least and the greatest sample."""
        if len(self.samples) < 2:
            return ""
        return f"{written(min(self.samples))} to {written(max(self.samples))}"

    def __str__(self) -> str:
        if self.failure:
            return "failed"
        return written(self.median) if self.median is not None else "-"


@dataclass
class Column:
    """A contender: its title, its version, its figures by the key of the row, and how much of it was compared."""

    title: str
    version: str
    limit: bool = False
    """Whether this is the upstream, which no index can surpass."""
    figures: dict[str, Figure] = field(default_factory=dict)
    pages: int = 0
    files: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass
class Results:
    """Everything that the reports show."""

    machine: Mapping[str, str]
    rounds: int
    rows: Sequence[Row]
    columns: list[Column] = field(default_factory=list)

    def best(self, row: Row) -> float | None:
        """Return the best median of a row among the indexes."""
        figures = [column.figures.get(row.key, Figure()) for column in self.columns if not column.limit]
        medians = [figure.median for figure in figures if figure.median is not None]
        if not medians:
            return None
        return min(medians) if row.less_is_better else max(medians)

    @property
    def failures(self) -> list[str]:
        """What went wrong, for people."""
        return [
            f"{column.title}, {row.title}: {column.figures[row.key].failure}"
            for column in self.columns
            for row in self.rows
            if row.key in column.figures and column.figures[row.key].failure
        ]


def written(figure: float) -> str:
    """Return a figure with three digits that count."""
    if figure >= 100:
        return f"{figure:,.0f}"
    if figure >= 10:
        return f"{figure:.1f}"
    return f"{figure:.2f}" if figure >= 0.1 else f"{figure:.3f}"
