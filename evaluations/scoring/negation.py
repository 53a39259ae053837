"""Negation: every scorer can be asked for its opposite, with `negate: true` in a suite."""

from dataclasses import dataclass

from evaluations.answers import Answer
from evaluations.cases import Case
from evaluations.scoring.base import Score, Scored, Scorer, Unscored
from evaluations.scoring.words import quoted


@dataclass(frozen=True, slots=True)
class Not:
    """One minus what a scorer says. What could not be told stays untold."""

    scorer: Scorer
    name: str = ""
    """What the reason calls the scorer: its name in the registry."""

    @property
    def version(self) -> str:
        """The scorer's own: a negation has no settings that could change."""
        return self.scorer.version

    @property
    def default_threshold(self) -> float:
        """1 for yes-or-no scorers. For graded ones the rest: not 0.8 alike is 0.2 unlike."""
        threshold = self.scorer.default_threshold
        return 1.0 if threshold >= 1.0 else 1.0 - threshold

    def score(self, case: Case, answer: Answer) -> Score:
        score = self.scorer.score(case, answer)
        if isinstance(score, Unscored):
            return score
        if score.value == 0.0:
            return Scored(1.0)
        name = self.name or type(self.scorer).__name__
        extent = "holds" if score.value == 1.0 else f"is {score.value:.2f}"
        said = f": {quoted(answer.text)}" if answer.text and getattr(self.scorer, "quotes", True) else ""
        return Scored(1.0 - score.value, f"{name} {extent}, which was not wanted{said}")
