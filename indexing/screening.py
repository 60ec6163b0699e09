"""Which messages must not be searched: two small readers that vote, one counting signs, one looking for phrases.

Trigger words alone refuse honest questions (跳槽, 炸鸡) and miss what is said without them (后事都交代好了). A logistic regression over
hashed character 1- to 3-grams and the shipped model's vector weighs everything a message holds. A few convolutional networks over
its characters and the shipped model's words look for single tell-tale phrases, whatever stands around them. Their mean decides.
`python -m indexing.screening` trains both on the committed examples (torch and scikit-learn are needed only there); reading takes
numpy and half a millisecond. A long message is judged in windows, so that a cry for help in a long story is not averaged away.
"""

import hashlib
import json
import random
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

from indexing.encoder import SHIPPED, Encoder, load_encoder, shipped_encoder
from indexing.words import bigrams, clean, tokenizer

if TYPE_CHECKING:
    from torch import Tensor

EXAMPLES = Path(__file__).parent / "examples"
WEIGHTS = SHIPPED / "screening.npz"
NONE = "none"
KINDS = (NONE, "R5", "R2", "R3", "R6", "R7", "R8", "R10", "R11", "small_talk")
MOST_INNOCENT = 11_000
WINDOW, STEP = 120, 60
MOST_WINDOWS = 20

# The counting reader.
BUCKETS = 1 << 15
MEANING = 8.0
"""How much the vector counts beside the n-grams, whose length is 1."""
STRENGTH = 8.0
COUNTING_SHARE = 0.4
"""The counting reader's share in the vote."""

# The networks.
CHARACTERS = 4093
"""Buckets of characters; bucket 0 is none."""
OF_CHARACTER, OF_WORD, FILTERS = 24, 48, 48
WIDTHS = (1, 2, 3, 4, 5)
MARGIN = 4
NETWORKS = 4
EPOCHS = 8
BATCH = 64
RATE = 3e-3

_PUNCTUATION = re.compile(r"[，。！？、,.!?;；:：~…“”\"']+")
_CRIMINAL = re.compile("罪|判刑|坐牢|刑事|取保|量刑|缓刑|自首|拘留|坐几年|判几年|诈骗|立案侦查|公安|轻生|自杀|寻短见")
"""Foreign paraphrases that are no innocent examples: there, a criminal question is an ordinary one."""

_LIKE_DANGER = re.compile(
    "死|杀|打(?!官司|款|钱|电话|印|算|折|听|开)|伤|血|刀|砍|跳|命|绑|锁|堵|威胁|逼|烧|炸|毒|闯|抢|吓|骚扰|撞|摔|淹|断水|断电|扣着|拦"
)
"""What innocent messages share with dangerous ones."""

Arrays = Mapping[str, NDArray[np.float32]]
Labelled = tuple[str, str]


class Screen:
    """The trained readers."""

    def __init__(self, weights: Arrays, encoder: Encoder) -> None:
        """`weights` as `train` makes them: `grams`, `vector`, `offset` of the counting reader, the rest (one row a network) theirs."""
        self.weights = weights
        self._encoder = encoder
        # Networks x features x (places in a run, filters).
        parted = {width: weights[f"filter{width}"].reshape(-1, width, OF_CHARACTER + OF_WORD, FILTERS) for width in WIDTHS}
        self._taps = {width: part.swapaxes(1, 2).reshape(len(part), OF_CHARACTER + OF_WORD, -1) for width, part in parted.items()}

    def probabilities(self, text: str) -> dict[str, float]:
        """For each kind (`none`, `R5`, …) its highest probability over the windows of the message; `none` gets its lowest."""
        windows = _windows(clean(text))
        # Window by window: matrices this small stay on one thread, however busy the machine.
        looked = np.concatenate([self._looked([window]) for window in windows])
        shares = COUNTING_SHARE * self._counted(windows) + (1 - COUNTING_SHARE) * looked
        found = {kind: float(share) for kind, share in zip(KINDS, shares.max(axis=0), strict=True)}
        return found | {NONE: float(shares[:, 0].min())}

    def _counted(self, windows: Sequence[str]) -> NDArray[np.float32]:
        scores = MEANING * self._encoder.encode(windows) @ self.weights["vector"] + self.weights["offset"]
        for row, window in enumerate(windows):
            numbers, values = _grams(window)
            scores[row] += values @ self.weights["grams"][numbers]
        return _softmax(scores)

    def _looked(self, windows: Sequence[str]) -> NDArray[np.float32]:
        """The mean of the networks, each the strongest sign of each of its filters in a window, weighed."""
        w = self.weights
        length = max(map(len, windows)) + 2 * MARGIN
        characters, words = np.zeros((len(windows), length), np.int64), np.full((len(windows), length), -1)
        for row, window in enumerate(windows):
            characters[row, MARGIN : MARGIN + len(window)], words[row, MARGIN : MARGIN + len(window)] = _positions(window)
        # Networks x positions x features.
        seen = np.concatenate([w["character"][:, characters.ravel()], _vectors_of(words.ravel()) @ w["word"]], axis=2)
        found = []
        for width, taps in self._taps.items():
            last = length - width + 1
            # What each character adds to the runs it is the first, second, … of, then the sums over each run.
            added = (seen @ taps).reshape(len(seen), len(windows), length, width, FILTERS)
            runs = added[:, :, :last, 0]
            for place in range(1, width):
                runs += added[:, :, place : place + last, place]
            found.append(runs.max(axis=2))
        pooled = np.maximum(np.concatenate(found, axis=2) + w["bias"][:, None], 0)
        shares: NDArray[np.float32] = _softmax(pooled @ w["out"] + w["threshold"][:, None]).mean(axis=0)
        return shares


@cache
def load_screen() -> Screen:
    """The shipped classifier; it always uses the shipped model, whatever EMBEDDING_MODEL says."""
    with np.load(WEIGHTS) as stored:
        return Screen({name: stored[name].astype(np.float32) for name in stored.files}, load_encoder())


def load_examples() -> list[Labelled]:
    """(message, kind) of every example file; null means `none`."""
    found: dict[str, str] = {}
    for path in sorted(EXAMPLES.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            fields = json.loads(line)
            found[clean(fields["text"])] = fields["rule"] or NONE
    return list(found.items())


def load_innocent() -> dict[str, str]:
    """Further messages of kind `none` and the entry each belongs to: some of our own wordings and of the paraphrases.

    Criminal ones are left out. No more than MOST_INNOCENT, those first that sound like danger (打, 逼, 堵门 in a lawsuit), the others
    chosen by a hash of their text: many times as many innocent messages as dangerous ones would teach the readers not to see danger.
    """
    from indexing.calibration import own_library
    from indexing.paraphrases import load_own_questions, load_paraphrases

    found = {clean(wording): key for key, entry in own_library().items() for wording in entry.searchable_texts()}
    found |= {clean(line.text): line.entry for line in chain(load_paraphrases(), load_own_questions()) if not _CRIMINAL.search(line.text)}

    def order(text: str) -> tuple[bool, bytes]:
        return not _LIKE_DANGER.search(text), hashlib.sha256(f"innocent {text}".encode()).digest()

    chosen = sorted(filter(None, found), key=order)[:MOST_INNOCENT]
    return {text: found[text] for text in chosen}


def train(examples: Sequence[Labelled], encoder: Encoder, networks: int = NETWORKS) -> Screen:
    """Fit both readers; the same examples give the same weights."""
    looked = [_train_network(examples, seed) for seed in range(networks)]
    return Screen(_train_counting(examples, encoder) | {name: np.stack([one[name] for one in looked]) for name in looked[0]}, encoder)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=WEIGHTS, help="where to write the weights")
@click.option("--folds", default=3, help="folds of the cross-validation that is printed first; 0 for none")
def main(out: Path, folds: int) -> None:
    """Train on all examples, after printing what cross-validation (with a single network) says."""
    encoder, examples, entries = load_encoder(), load_examples(), load_innocent()
    known = {text for text, _ in examples}
    labelled = [*examples, *((text, NONE) for text in entries if text not in known)]
    if folds:
        _cross_validate(labelled, entries, encoder, folds)
    screen = train(labelled, encoder)
    np.savez_compressed(out, **{name: array.astype(np.float16) for name, array in screen.weights.items()})  # type: ignore[arg-type]
    click.echo(f"{len(examples)} examples, {len(labelled) - len(examples)} innocent wordings, {out.stat().st_size // 1000} KB")


def _cross_validate(labelled: Sequence[Labelled], entries: Mapping[str, str], encoder: Encoder, folds: int) -> None:
    """Print, for each kind, how many messages reach a probability: of danger for R5, of any rule for the others, of both for `none`."""
    groups = _groups([text for text, _ in labelled], entries)
    fold_of = [hashlib.sha256(group.encode()).digest()[1] % folds for group in groups]
    caught: dict[str, list[float]] = {}
    for fold in range(folds):
        screen = train([one for one, own in zip(labelled, fold_of, strict=True) if own != fold], encoder, networks=1)
        for (text, kind), own in zip(labelled, fold_of, strict=True):
            if own == fold:
                found = screen.probabilities(text)
                redirected = 1 - found[NONE] - found["small_talk"]
                kept = "own/paraphrase " if text in entries else "example "
                if kind in ("R5", NONE):
                    caught.setdefault(f"{kept if kind == NONE else ''}{kind}: danger", []).append(found["R5"])
                if kind != "R5":
                    caught.setdefault(f"{kept if kind == NONE else ''}{kind}: any rule", []).append(redirected)
    for name, shares in sorted(caught.items()):
        reached = "  ".join(f">{t}: {np.mean(np.array(shares) > t):.3f}" for t in (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7))
        click.echo(f"{name:<30} {len(shares):>5}  {reached}")


def _groups(texts: Sequence[str], entries: Mapping[str, str]) -> list[str]:
    """What must stay in one fold: messages that share more than half of their bigrams, and the wordings of one entry."""
    leader = list(range(len(texts)))

    def led(i: int) -> int:
        while leader[i] != i:
            leader[i] = i = leader[leader[i]]
        return i

    pairs = [frozenset(bigrams(text)) for text in texts]
    holders: dict[str, list[int]] = {}
    first: dict[str, int] = {}
    for i, own in enumerate(pairs):
        shared = Counter(j for pair in own for j in holders.get(pair, ()))
        for j, count in shared.items():
            if 2 * count > len(own | pairs[j]):
                leader[led(i)] = led(j)
        for pair in own:
            holders.setdefault(pair, []).append(i)
        if texts[i] in entries:
            leader[led(i)] = led(first.setdefault(entries[texts[i]], i))
    return [texts[led(i)] for i in range(len(texts))]


def _train_counting(examples: Sequence[Labelled], encoder: Encoder) -> dict[str, NDArray[np.float32]]:
    from scipy.sparse import csr_matrix, hstack
    from sklearn.linear_model import LogisticRegression

    texts = [text[:WINDOW] for text, _ in examples]
    grams = [_grams(text) for text in texts]
    rows = np.concatenate([np.full(len(numbers), i) for i, (numbers, _) in enumerate(grams)])
    columns = np.concatenate([numbers for numbers, _ in grams])
    values = np.concatenate([value for _, value in grams])
    features = hstack([csr_matrix((values, (rows, columns)), (len(texts), BUCKETS)), csr_matrix(MEANING * encoder.encode(texts))]).tocsr()
    model = LogisticRegression(C=STRENGTH, max_iter=400).fit(features, [KINDS.index(kind) for _, kind in examples])
    weights = model.coef_.T.astype(np.float32)
    return {"grams": weights[:BUCKETS], "vector": weights[BUCKETS:], "offset": model.intercept_.astype(np.float32)}


def _train_network(examples: Sequence[Labelled], seed: int) -> dict[str, NDArray[np.float32]]:
    import torch
    from torch.nn import functional

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    chance = random.Random(seed)  # noqa: S311
    table = torch.from_numpy(_vectors_of(np.append(np.arange(len(shipped_encoder().words)), -1)))
    breadth = OF_CHARACTER + OF_WORD
    shapes: dict[str, tuple[int, ...]] = {"character": (CHARACTERS + 1, OF_CHARACTER), "word": (table.shape[1], OF_WORD)}
    shapes |= {f"filter{width}": (width * breadth, FILTERS) for width in WIDTHS}
    shapes |= {"bias": (FILTERS * len(WIDTHS),), "out": (FILTERS * len(WIDTHS), len(KINDS)), "threshold": (len(KINDS),)}
    w = {name: torch.randn(shape) * (0.1 if name == "character" else (1 / 3 / shape[0]) ** 0.5) for name, shape in shapes.items()}
    w["bias"].zero_()
    w["character"][0] = 0
    for array in w.values():
        array.requires_grad_()

    def scores(characters: "Tensor", words: "Tensor") -> "Tensor":
        characters = characters.masked_fill(torch.rand(characters.shape) < 0.08, 0)
        words = words.masked_fill(torch.rand(words.shape) < 0.08, -1)
        # Character 0 stands for none and stays zero.
        seen = torch.cat([w["character"][characters] * (characters > 0)[:, :, None], table[words] @ w["word"]], 2)
        seen = functional.dropout(seen, 0.15).transpose(1, 2)
        filters = [w[f"filter{width}"].reshape(width, breadth, FILTERS).permute(2, 1, 0) for width in WIDTHS]
        pooled = torch.cat([functional.conv1d(seen, one).amax(2) for one in filters], 1)
        return functional.dropout((pooled + w["bias"]).relu(), 0.4) @ w["out"] + w["threshold"]

    optimizer = torch.optim.AdamW(w.values(), RATE, weight_decay=0.01)
    steps = EPOCHS * -(-len(examples) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps + 1, pct_start=0.15)
    innocent = [text for text, kind in examples if kind == NONE and len(text) > 6]
    sounds = _sounds(text for text, _ in examples)
    for _ in range(EPOCHS):
        positions = [_positions(_varied(text, kind, chance, innocent, sounds)[:WINDOW]) for text, kind in examples]
        for batch in _batches([len(characters) for characters, _ in positions], chance):
            length = max(len(positions[i][0]) for i in batch) + 2 * MARGIN
            characters, words = np.zeros((len(batch), length), np.int64), np.full((len(batch), length), -1)
            for row, i in enumerate(batch):
                end = MARGIN + len(positions[i][0])
                characters[row, MARGIN:end], words[row, MARGIN:end] = positions[i]
            kinds = torch.tensor([KINDS.index(examples[i][1]) for i in batch])
            loss = functional.cross_entropy(scores(torch.from_numpy(characters), torch.from_numpy(words)), kinds)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return {name: array.detach().numpy() for name, array in w.items()}


def _batches(lengths: Sequence[int], chance: random.Random) -> list[list[int]]:
    """Every message once, in random order, messages of similar length together."""
    order = list(range(len(lengths)))
    chance.shuffle(order)
    pools = [sorted(order[start : start + 20 * BATCH], key=lambda i: lengths[i]) for start in range(0, len(order), 20 * BATCH)]
    batches = [pool[start : start + BATCH] for pool in pools for start in range(0, len(pool), BATCH)]
    chance.shuffle(batches)
    return batches


def _varied(text: str, kind: str, chance: random.Random, innocent: Sequence[str], sounds: Mapping[str, Sequence[str]]) -> str:
    """The message as it might as well have come: with another question beside it, without punctuation, with a slip of the keyboard."""
    if kind != "small_talk" and chance.random() < 0.15:
        parts = [text, chance.choice(innocent)]
        chance.shuffle(parts)
        text = chance.choice("，。， ！").join(parts)
    if chance.random() < 0.3:
        text = _PUNCTUATION.sub(chance.choice(("", " ")), text).strip() or text
    if chance.random() < 0.15:
        text = "".join(chance.choice(sounds[c]) if chance.random() < 0.06 and sounds.get(c) else c for c in text)
    return clean(text)


def _sounds(texts: Iterator[str]) -> dict[str, list[str]]:
    """For each Chinese character the others in these texts that are typed the same."""
    from pypinyin import lazy_pinyin

    common = [c for c, count in Counter("".join(texts)).items() if count >= 5 and "\u4e00" <= c <= "\u9fff"]
    typed: dict[str, list[str]] = {}
    for c in common:
        typed.setdefault(lazy_pinyin(c)[0], []).append(c)
    return {c: [other for other in same if other != c] for same in typed.values() for c in same}


def _vectors_of(words: NDArray[np.int64]) -> NDArray[np.float32]:
    """The shipped model's vectors of these tokens at unit length; zeros for -1."""
    rows = shipped_encoder().words[np.maximum(words, 0)]
    unit: NDArray[np.float32] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    unit[words < 0] = 0
    return unit


def _windows(text: str) -> list[str]:
    if len(text) <= WINDOW:
        return [text]
    # Up to MOST_WINDOWS without a gap; a flood of text is sampled evenly. It is bounded work, whatever is sent.
    count = min(-(-(len(text) - WINDOW) // STEP) + 1, MOST_WINDOWS)
    return [text[start : start + WINDOW] for start in np.linspace(0, len(text) - WINDOW, count).astype(int)]


def _positions(text: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each character of a text its bucket and the word that covers it (-1: none)."""
    characters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64) % CHARACTERS + 1
    words = np.full(len(text), -1)
    cut = tokenizer().encode(text, add_special_tokens=False)
    for word, (start, end) in zip(cut.ids, cut.offsets, strict=True):
        words[start:end] = word
    return characters, words


def _grams(text: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Buckets of the 1- to 3-grams of a text, with damped counts of unit length."""
    marked = f"^{text}$"
    grams = (marked[i : i + length].encode("utf-8", "replace") for length in (1, 2, 3) for i in range(len(marked) - length + 1))
    counts = Counter(zlib.crc32(gram) % BUCKETS for gram in grams)
    values: NDArray[np.float32] = np.log1p(np.fromiter(counts.values(), np.float32))
    values /= max(float(np.linalg.norm(values)), 1e-9)
    return np.fromiter(counts.keys(), np.int64), values


def _softmax(scores: Any) -> NDArray[np.float32]:
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares: NDArray[np.float32] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return shares


if __name__ == "__main__":
    main()
