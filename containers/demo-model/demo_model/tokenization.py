"""The package's tokenizer: Hugging Face ``tokenizer.json``, WordPiece over whole words, unknown words to [UNK]."""

import random

from . import captions

MAX_TOKENS = 32
PAD, UNKNOWN = 0, 1
_INDEX = {word: index for index, word in enumerate(captions.vocabulary())}


def build_tokenizer():
    """The ``tokenizers.Tokenizer`` that is written to ``tokenizer.json``."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.WordPiece(_INDEX, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=True, clean_text=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def encode_segments(
    segments: list[captions.Segment], rng: random.Random | None = None, noise: float = 0.0
) -> tuple[list[int], list[int]]:
    """Token ids and part labels, padded to ``MAX_TOKENS``; padding has label -100.

    ``noise`` is the probability that the caption gets one or two unknown words, put in or in place of a word,
    so that words outside the vocabulary degrade instead of derailing the encoder.
    """
    ids: list[int] = []
    labels: list[int] = []
    for text, label in segments:
        for word in text.replace(",", " , ").split():
            ids.append(_INDEX.get(word, UNKNOWN))
            labels.append(label)
    if rng is not None and noise > 0 and rng.random() < noise:
        for _ in range(rng.choice([1, 1, 2])):
            at = rng.randrange(len(ids))
            if rng.random() < 0.5:
                ids[at] = UNKNOWN
            else:
                ids.insert(at, UNKNOWN)
                labels.insert(at, labels[at])
    ids, labels = ids[:MAX_TOKENS], labels[:MAX_TOKENS]
    padding = MAX_TOKENS - len(ids)
    return ids + [PAD] * padding, labels + [-100] * padding
