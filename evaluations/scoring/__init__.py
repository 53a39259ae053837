"""Scorers: what judges an answer.

To add one, write a frozen dataclass in the file of its family (`reading.py` says which class to extend) and list
it below as `family.Class`. Its fields are its settings, each with a line under it that says what it does; the
first paragraph of its docstring is its line in the documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from evaluations.errors import AssayError, unknown_name
from evaluations.scoring.negation import Not
from evaluations.scoring.registry import Registry
from evaluations.scoring.settings import make, one_line, schema_of

if TYPE_CHECKING:
    # Named here only: importing them would import families that nobody has asked for.
    from evaluations.scoring.base import Scorer
    from evaluations.scoring.code import CodePasses
    from evaluations.scoring.embedding import EmbeddingSimilarity
    from evaluations.scoring.judges import Judge

SCORERS: Registry[type[Scorer]] = Registry(
    {
        # text: equal, contained, repeated
        "exact": "text.Exact",
        "contains": "text.Contains",
        "contains_all": "text.ContainsAll",
        "contains_some": "text.ContainsSome",
        "in_order": "text.InOrder",
        "starts_with": "text.StartsWith",
        "ends_with": "text.EndsWith",
        "quoted_from": "text.QuotedFrom",
        "words_in_common": "text.WordsInCommon",
        "occurrences": "text.Occurrences",
        "not_blank": "text.NotBlank",
        "no_loop": "text.NoLoop",
        "no_echo": "text.NoEcho",
        # numbers
        "number": "numbers.Number",
        "any_number": "numbers.AnyNumber",
        "number_between": "numbers.NumberBetween",
        "number_error": "numbers.NumberError",
        # one of a few options
        "choice": "choice.Choice",
        "label": "choice.Label",
        "ordinal_label": "choice.OrdinalLabel",
        "one_of": "choice.OneOf",
        "yes_no": "choice.YesNo",
        # structured answers
        "json_valid": "structure.JsonValid",
        "json_schema": "structure.JsonSchema",
        "json_keys": "structure.JsonKeys",
        "json_equals": "structure.JsonEquals",
        "json_field": "structure.JsonField",
        "json_fields": "structure.JsonFields",
        "tool_call": "structure.ToolCall",
        "csv_table": "structure.CsvTable",
        # patterns, and what must never get out
        "regex": "patterns.Regex",
        "regex_count": "patterns.RegexCount",
        "regex_expected": "patterns.RegexExpected",
        "keywords": "patterns.Keywords",
        "keyword_count": "patterns.KeywordCount",
        "no_forbidden_words": "patterns.NoForbiddenWords",
        "refusal": "patterns.Refusal",
        "refusal_expected": "patterns.RefusalExpected",
        "no_pii": "patterns.NoPii",
        "no_secrets": "patterns.NoSecrets",
        "no_placeholders": "patterns.NoPlaceholders",
        "no_self_reference": "patterns.NoSelfReference",
        "links": "patterns.Links",
        # lists, sets, rankings
        "list_equals": "collections.ListEquals",
        "set_equals": "collections.SetEquals",
        "set_f1": "collections.SetF1",
        "set_recall": "collections.SetRecall",
        "set_precision": "collections.SetPrecision",
        "jaccard": "collections.Jaccard",
        "labels_f1": "collections.LabelsF1",
        "ordering": "collections.Ordering",
        "hit_at": "collections.HitAt",
        "reciprocal_rank": "collections.ReciprocalRank",
        "ndcg": "collections.Ndcg",
        "item_count": "collections.ItemCount",
        "no_duplicates": "collections.NoDuplicates",
        # how alike two texts are
        "ratio": "similarity.Ratio",
        "partial_ratio": "similarity.PartialRatio",
        "token_sort_ratio": "similarity.TokenSort",
        "token_set_ratio": "similarity.TokenSet",
        "jaro_winkler": "similarity.JaroWinkler",
        "levenshtein": "similarity.Levenshtein",
        "character_error_rate": "similarity.CharacterErrorRate",
        "word_error_rate": "similarity.WordErrorRate",
        "squad_exact": "similarity.SquadExact",
        "squad_f1": "similarity.SquadF1",
        "bleu": "similarity.Bleu",
        "chrf": "similarity.Chrf",
        "ter": "similarity.Ter",
        "rouge_1": "similarity.Rouge1",
        "rouge_2": "similarity.Rouge2",
        "rouge_l": "similarity.RougeL",
        "nearest_reference": "similarity.NearestReference",
        # limits
        "character_count": "limits.CharacterCount",
        "word_count": "limits.WordCount",
        "sentence_count": "limits.SentenceCount",
        "line_count": "limits.LineCount",
        "length_ratio": "limits.LengthRatio",
        "readability": "limits.Readability",
        "latency": "limits.Latency",
        "cost": "limits.Cost",
        "tokens": "limits.Tokens",
        "finished": "limits.Finished",
        # layout
        "bullet_count": "format.BulletCount",
        "paragraph_count": "format.ParagraphCount",
        "paragraph_first_word": "format.ParagraphFirstWord",
        "highlight_count": "format.HighlightCount",
        "section_count": "format.SectionCount",
        "heading_count": "format.HeadingCount",
        "placeholder_count": "format.PlaceholderCount",
        "letter_count": "format.LetterCount",
        "capital_word_count": "format.CapitalWordCount",
        "emoji_count": "format.EmojiCount",
        "question_count": "format.QuestionCount",
        "title": "format.Title",
        "postscript": "format.Postscript",
        "in_quotes": "format.InQuotes",
        "distinct_parts": "format.DistinctParts",
        "no_comma": "format.NoComma",
        "all_capitals": "format.AllCapitals",
        "all_lowercase": "format.AllLowercase",
        "code_fence": "format.CodeFence",
        "markdown_table": "format.MarkdownTable",
        "plain_text": "format.PlainText",
        "no_preamble": "format.NoPreamble",
        "written_in": "format.WrittenIn",
    }
)
"""Scorers that judge by themselves, by name."""

ASKING: Registry[type[Any]] = Registry(
    {
        "rubric": "judges.RubricJudge",
        "factuality": "judges.FactualityJudge",
        "pairwise": "judges.PairwiseJudge",
        "sentiment": "judges.SentimentJudge",
        "embedding": "embedding.EmbeddingSimilarity",
        "code_passes": "code.CodePasses",
    }
)
"""Scorers in two halves: between them somebody asks a model or runs a program."""


def build(
    name: str, settings: Mapping[str, Any], *, negate: bool = False
) -> Scorer | Judge | CodePasses | EmbeddingSimilarity:
    """The scorer of this name with these settings, or its opposite.

    Negation wraps what is in SCORERS. A scorer in two halves comes as it is: whoever makes the call between them
    turns the score round. Raises AssayError for an unknown name, or a setting that is unknown, missing or cannot
    be used.

    >>> build("jaro_winkler", {"expected": "Martha"}, negate=True).default_threshold
    0.09999999999999998
    """
    scorer: Any = make(name, _kind(name), settings)
    if negate and name in SCORERS:
        scorer = Not(scorer, name)
    return scorer  # type: ignore[no-any-return]  # of the class that the registry holds


def settings_schema(name: str) -> dict[str, Any]:
    """JSON Schema of one scorer's own settings. Raises AssayError for an unknown name."""
    return schema_of(_kind(name))


def catalogue() -> list[tuple[str, str, str]]:
    """Every scorer: its name, its family, and what it does in one line."""
    return [
        (name, registry.family(name), one_line(kind))
        for registry in (SCORERS, ASKING)
        for name, kind in registry.items()
    ]


def _kind(name: str) -> type[Any]:
    for registry in (SCORERS, ASKING):
        if name in registry:
            return registry[name]
    raise AssayError(f"{unknown_name('scorer', name, [*SCORERS, *ASKING])} `assay scorers` explains them.")
