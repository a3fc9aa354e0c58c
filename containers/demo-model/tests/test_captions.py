import random

from demo_model import captions, tokenization


def rows(count=300):
    return captions.sample_attributes(count, random.Random(5))


def test_every_caption_names_its_attributes_with_one_of_their_synonyms():
    rng = random.Random(1)
    for attributes in rows():
        text = captions.text_of(captions.caption_segments(attributes, rng))
        for (name, values), index in zip(captions.FIELDS, attributes):
            phrases = captions.SYNONYMS[values[index]]
            assert "" in phrases or any(phrase in text for phrase in phrases), (name, text)


def test_no_caption_word_is_unknown_to_the_tokenizer():
    rng = random.Random(2)
    for attributes in rows():
        for make in (captions.caption_segments, captions.object_segments, captions.background_segments):
            ids, _ = tokenization.encode_segments(make(attributes, rng))
            assert tokenization.UNKNOWN not in ids


def test_the_exported_tokenizer_gives_the_ids_of_training():
    rng, tokenizer = random.Random(3), tokenization.build_tokenizer()
    for attributes in rows(100):
        segments = captions.caption_segments(attributes, rng)
        ids, _ = tokenization.encode_segments(segments)
        assert tokenizer.encode(captions.text_of(segments)).ids == [i for i in ids if i != tokenization.PAD]


def test_unknown_words_become_one_unknown_token_each():
    ids = tokenization.build_tokenizer().encode("a Red dragon, at NIGHT").ids
    assert ids.count(tokenization.UNKNOWN) == 1 and len(ids) == 6


def test_labels_follow_the_words_even_when_noise_is_put_in():
    rng = random.Random(4)
    for attributes in rows(100):
        ids, labels = tokenization.encode_segments(captions.caption_segments(attributes, rng), rng, noise=1.0)
        assert len(ids) == len(labels) == tokenization.MAX_TOKENS
        assert all((token == tokenization.PAD) == (label == -100) for token, label in zip(ids, labels))
        assert {captions.LABEL_OBJECT, captions.LABEL_BACKGROUND} <= set(labels)
