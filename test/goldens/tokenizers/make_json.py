"""Trains the tokenizer.json files of this folder with the official trainer, one for each family of parts; see README.md beside."""
import gzip
import json
import sys
from pathlib import Path

import sentencepiece
from make import lines
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = Path(__file__).parent
ALPHABET = pre_tokenizers.ByteLevel.alphabet()
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def train(text, tokenizer, vocab, specials, **options):
    tokenizer.train_from_iterator(text, trainers.BpeTrainer(vocab_size=vocab, special_tokens=specials, show_progress=False, **options))


def roberta(text):
    """Byte-level with GPT-2's expression, a space in front, added tokens of all kinds."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=True), decoders.ByteLevel()
    train(text, tokenizer, 1500, ["<s>", "</s>", "<mask>"], initial_alphabet=ALPHABET)
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, rstrip=False)])
    tokenizer.add_tokens([AddedToken("token", single_word=True), AddedToken("New York", normalized=False)])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0), trim_offsets=True, add_prefix_space=True)
    return tokenizer


def llama3(text):
    """An expression of its own, then bytes; whole words before merges; a template."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(WORDS), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    train(text, tokenizer, 1500, ["<|begin_of_text|>", "<|eot|>"], initial_alphabet=ALPHABET)
    template = processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A $B", special_tokens=[("<|begin_of_text|>", 0)])
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True), template])
    return tokenizer


def llama2(text):
    """No words: normalizers write the marks; byte fallback; fused unknowns."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    byte_names = [f"<0x{byte:02X}>" for byte in range(256)]
    train(text, tokenizer, 1500, ["<unk>", "<s>", "</s>", *byte_names], limit_alphabet=200, max_token_length=16)
    document = json.loads(tokenizer.to_str())
    document["added_tokens"] = [token for token in document["added_tokens"] if token["content"] not in byte_names]
    tokenizer = Tokenizer.from_str(json.dumps(document))
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.add_tokens([AddedToken("<sep>", normalized=True), AddedToken(" of ", normalized=True)])
    return tokenizer


def first(text):
    """Metaspace before the first word only; NFKC."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=False))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(prepend_scheme="first"), decoders.Metaspace(prepend_scheme="first")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Strip(True, True)])
    train(text, tokenizer, 1500, ["<unk>"], limit_alphabet=100)
    return tokenizer


def clip(text):
    """Marks inside and at the end of words; accents taken away."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, end_of_word_suffix="</w>", continuing_subword_prefix="##"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=True)])
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase(), normalizers.StripAccents()])
    tokenizer.decoder = decoders.BPEDecoder("</w>")
    train(text, tokenizer, 1500, ["<unk>"], limit_alphabet=100, end_of_word_suffix="</w>", continuing_subword_prefix="##")
    return tokenizer


def bare(text):
    """No unknown token, no decoder; the ways to treat a delimiter."""
    tokenizer = Tokenizer(models.BPE())
    cuts = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("merged_with_previous"), pre_tokenizers.Split(Regex("[0-9]+"), "merged_with_next")]
    tokenizer.pre_tokenizer, tokenizer.normalizer = pre_tokenizers.Sequence(cuts), normalizers.NFC()
    train(text, tokenizer, 1500, [], limit_alphabet=100)
    return tokenizer


def unigram(name, fallback):
    model = sentencepiece.SentencePieceProcessor(model_proto=gzip.decompress((HERE / f"{name}.model.gz").read_bytes()))
    pieces = [(model.id_to_piece(i), model.get_score(i)) for i in range(model.get_piece_size())]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=model.unk_id(), byte_fallback=fallback))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    return tokenizer


def xlm(_):
    """Unigram with SentencePiece's own map, byte fallback and a template."""
    name = "unigram-nmt_nfkc-bytes"
    tokenizer = unigram(name, True)
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto.FromString(gzip.decompress((HERE / f"{name}.model.gz").read_bytes()))
    charsmap = normalizers.Precompiled(model.normalizer_spec.precompiled_charsmap)
    tokenizer.normalizer = normalizers.Sequence([charsmap, normalizers.Strip(False, True), normalizers.Replace(Regex(" {2,}"), "▁")])
    tokenizer.add_special_tokens(["</s>", "<s>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A $B </s>", special_tokens=[("</s>", 2)])
    return tokenizer


def nmt(_):
    """Unigram without byte fallback, other normalizers."""
    tokenizer = unigram("unigram-identity", False)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKD(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    return tokenizer


def main():
    text = [line for line in lines(HERE.parents[2]) if line.strip()]
    for make in (roberta, llama3, llama2, first, clip, bare, xlm, nmt):
        (HERE / f"{make.__name__}.json.gz").write_bytes(gzip.compress(make(text).to_str().encode(), mtime=0))


if __name__ == "__main__":
    sys.exit(main())
