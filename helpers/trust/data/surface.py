"""How far the surface of a text goes: capitals, words, length, and test rows already seen.

On the paper's five sets, a probe's accuracy means something only above these. Each is measured
twice: on the released code's split (the first 80 % of the file for training, the last 20 % for
testing), which is what the published accuracies stand on, and on splits that keep twins, questions
and contexts together.

A word is ``\\w+``, in lower case. The vocabulary is that of the training part. The classifiers are
scikit-learn's, on counts of words: ``MultinomialNB()`` (naive Bayes, the classes' log odds of each
word added up) and ``LogisticRegression(C=1)``.
"""

import warnings
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from helpers.errors import LabError
from helpers.inputs import check_count
from helpers.stats import auroc, balanced_accuracy, clopper_pearson, majority_share
from helpers.texts import LabelledSet
from helpers.trust.data.published import PUBLISHED, Published
from helpers.trust.data.splits import Splits, grouped, one_sided, ordered

WORD = r"\w+"
CLASSIFIERS = ("bayes", "logistic")
ITERATIONS = 2000


@dataclass(frozen=True)
class Share:
    """An accuracy with its 95 % interval, and what stands beside it where classes differ in size.

    Attributes:
        value: Share of right answers.
        low, high: Ends of its interval, within 0 to 1.
        majority: Share of the larger class: what a rule has that always gives the same answer.
        balanced: Mean of the shares of right answers in both classes; chance is 0.5.
        auroc: Area under the ROC curve of the scores; chance is 0.5.
    """

    value: float
    low: float
    high: float
    majority: float
    balanced: float
    auroc: float


@dataclass(frozen=True)
class Survey:
    """The controls of one set.

    Attributes:
        leaked: Share of the test rows of the ordered split whose twin, question or context is in
            the training part.
        by_class: Whether the ordered split has the last rows of each class, because the file is
            sorted by class.
        capital: Accuracy of the rule "has a capital letter" over all rows, in the direction that is
            right more often.
        capital_says: What that rule says of a text with a capital letter.
        length: AUROC of the number of characters.
        ordered, grouped: Accuracy of each of `CLASSIFIERS` on both kinds of split. Intervals:
            Clopper–Pearson over the test rows (they ignore that rows share questions), and Nadeau
            and Bengio over the grouped splits, clipped to 0 and 1: rows of a group are no
            independent trials, so no interval that counts them would be one.
        published: The paper's probe, or None for a set that is not the paper's.
    """

    name: str
    leaked: float
    by_class: bool
    capital: Share
    capital_says: bool
    length: float
    ordered: dict[str, Share]
    grouped: dict[str, Share]
    published: Published | None

    @property
    def best(self) -> float:
        """The highest accuracy of capitals or words, on the split of the published probes."""
        return max(self.capital.value, *(share.value for share in self.ordered.values()))

    @property
    def gain(self) -> float | None:
        """How much the published probe (`Published.late`) is above `best`."""
        return self.published and self.published.late - self.best


def any_capital(data: LabelledSet) -> Bool[ndarray, " item"]:
    """The answers of a rule that reads nothing: does the text have a capital letter?

    >>> data = LabelledSet("s", ("a fIlm", "a film"), np.array([True, False]), ("1", "1"))
    >>> any_capital(data).tolist()
    [True, False]
    """
    return np.array([any(letter.isupper() for letter in text) for text in data.texts])


def case_flipped(texts: Sequence[str], share: float, seed: int) -> tuple[str, ...]:
    """The texts with some of their letters turned into capitals.

    That is what label 1 of the paper's robustness set says of a text. Nothing but case changes; a
    letter without a capital of its own, such as ß, is kept. A text in which no letter is drawn
    stays as it is, whatever its label says. With the 4.73 % of letters that are capitals in the
    1821 changed reviews of the released file, independent draws leave some 129 reviews unchanged.
    In the file it is 14: capitals are spread more evenly there, at most one in 20 characters of
    each review, or one in a shorter one.

    Args:
        share: Probability of each letter to be drawn, independently of all others.

    Raises:
        LabError: A share outside 0 to 1, or a negative seed.

    >>> case_flipped(("a film .", "so-so"), share=0.3, seed=4)
    ('a fIlm .', 'so-so')
    """
    if not 0 <= share <= 1:
        raise LabError("expected a share of letters from 0 to 1", f"got {share}")
    check_count("seed", seed)
    rng = np.random.default_rng(seed)
    return tuple("".join(map(_capital, text, rng.random(len(text)) < share)) for text in texts)


def _capital(letter: str, drawn: bool) -> str:
    return letter.upper() if drawn and letter.upper().lower() == letter else letter


def leaked(data: LabelledSet, splits: Splits) -> Float[ndarray, " split"]:
    """Share of the test rows that have a row of their group in the training part."""
    groups = np.unique(data.groups, return_inverse=True)[1]
    return np.array(
        [
            np.isin(groups[test], groups[train]).mean()
            for train, test in zip(splits.train, splits.test, strict=True)
        ]
    )


def length_auroc(data: LabelledSet) -> float:
    """AUROC of the number of characters: 0.5 says nothing, 0 or 1 everything."""
    return auroc(np.array([len(text) for text in data.texts], dtype=float), data.labels.astype(int))


def words_accuracy(
    data: LabelledSet, splits: Splits, classifier: str = "bayes", lower: bool = True
) -> Float[ndarray, " split"]:
    """Accuracy of a bag of words on the test part of each split.

    Accuracy alone misleads where classes differ in size; `survey` has what stands beside it.

    Args:
        classifier: One of `CLASSIFIERS`.
        lower: Whether capitals count as small letters.

    Raises:
        LabError: An unknown classifier, a training part without a word, or a fit that does not
            converge.
    """
    return np.array([share.value for share in _words(data, splits, classifier, lower)])


def survey(data: LabelledSet, n_splits: int = 5, test_share: float = 0.2, seed: int = 0) -> Survey:
    """All controls of one set.

    Args:
        n_splits, test_share, seed: Settings of the grouped splits.

    Raises:
        LabError: As in `words_accuracy`, `splits.ordered` and `splits.grouped`.
    """
    by_class = one_sided(data)
    file_order = ordered(data, by_class=by_class)
    apart = grouped(data, n_splits, test_share, seed)
    capital = any_capital(data)
    says = bool((capital == data.labels).mean() >= 0.5)
    return Survey(
        data.name,
        leaked=float(leaked(data, file_order)[0]),
        by_class=by_class,
        capital=_share(capital == says, (capital == says).astype(float), data.labels),
        capital_says=says,
        length=length_auroc(data),
        ordered={name: _words(data, file_order, name)[0] for name in CLASSIFIERS},
        grouped={name: _mean(_words(data, apart, name), apart) for name in CLASSIFIERS},
        published=PUBLISHED.get(data.name),
    )


def _share(
    answers: Bool[ndarray, " item"], scores: Float[ndarray, " item"], labels: Bool[ndarray, " item"]
) -> Share:
    hits, trials = int((answers == labels).sum()), len(labels)
    beside = majority_share(labels), balanced_accuracy(answers, labels), auroc(scores, labels)
    return Share(hits / trials, *clopper_pearson(hits, trials), *beside)


def _mean(shares: Sequence[Share], splits: Splits) -> Share:
    """Means over splits, the accuracy's with the interval over splits."""
    table = np.array([astuple(share) for share in shares])
    interval = splits.interval(table[:, :1].T).clipped(0, 1)
    ends = (float(side[0]) for side in (interval.mean, interval.low, interval.high))
    return Share(*ends, *table[:, 3:].mean(0).tolist())


def _words(data: LabelledSet, splits: Splits, classifier: str, lower: bool = True) -> list[Share]:
    """How a bag of words does on the test part of each split."""
    return [
        _score(data, train, test, classifier, lower)
        for train, test in zip(splits.train, splits.test, strict=True)
    ]


def _score(
    data: LabelledSet,
    train: Bool[ndarray, " item"],
    test: Bool[ndarray, " item"],
    classifier: str,
    lower: bool,
) -> Share:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import MultinomialNB

    if classifier not in CLASSIFIERS:
        raise LabError(f"expected one of {', '.join(CLASSIFIERS)}", f"got {classifier!r}")
    fitted, asked = data[train], data[test]
    counter = CountVectorizer(token_pattern=WORD, lowercase=lower)
    try:
        counts = counter.fit_transform(fitted.texts)
    except ValueError as fault:
        raise LabError(
            f"expected words in the training part of {data.name}", f"scikit-learn says: {fault}"
        ) from None
    model = MultinomialNB() if classifier == "bayes" else LogisticRegression(max_iter=ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            model.fit(counts, fitted.labels)
        except ConvergenceWarning as fault:
            raise LabError(
                f"expected the bag of words of {data.name} to converge",
                f"scikit-learn says: {fault}",
            ) from None
    words = counter.transform(asked.texts)
    if isinstance(model, MultinomialNB):
        log_odds = np.asarray(model.predict_joint_log_proba(words)) @ (-1, 1)
    else:  # probabilities round to 1 in long texts, and their logs to minus infinity
        log_odds = model.decision_function(words)
    return _share(np.asarray(model.predict(words)), log_odds, asked.labels)
