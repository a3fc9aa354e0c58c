"""The package's tokenizer: Hugging Face ``tokenizer.json``, WordPiece over whole words, unknown words to [UNK].

With ``ends`` every prompt ends with a token of its own, as prompts of T5 do, and the empty prompt is that token alone;
without it the empty prompt is padding.
"""

import random

import torch

from . import captions

MAX_TOKENS = 32
PAD, UNKNOWN = 0, 1
_INDEX = {word: index for index, word in enumerate(captions.vocabulary())}
#: The token that ends prompts, where they have one: the last of the vocabulary.
END, END_TOKEN = len(_INDEX), "</s>"


def size(ends: bool) -> int:
    """Number of tokens."""
    return len(_INDEX) + ends


def build_tokenizer(ends: bool = False):
    """The ``tokenizers.Tokenizer`` that is written to ``tokenizer.json``."""
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordPiece(_INDEX, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=True, clean_text=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if ends:
        tokenizer.add_special_tokens([AddedToken(END_TOKEN, special=True)])
        tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {END_TOKEN}", special_tokens=[(END_TOKEN, END)])
    return tokenizer


def empty_like(ids: torch.Tensor) -> torch.Tensor:
    """Ids ``[B,L]`` of the empty prompt, with an end if these prompts have one."""
    empty = torch.zeros_like(ids)
    empty[:, 0] = END * (ids == END).any()
    return empty


def encode_segments(
    segments: list[captions.Segment], rng: random.Random | None = None, noise: float = 0.0, ends: bool = False
) -> tuple[list[int], list[int]]:
    """Token ids and part labels, padded to ``MAX_TOKENS``; padding and the end have label -100.

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
    ids, labels = ids[: MAX_TOKENS - ends] + [END] * ends, labels[: MAX_TOKENS - ends] + [-100] * ends
    padding = MAX_TOKENS - len(ids)
    return ids + [PAD] * padding, labels + [-100] * padding
