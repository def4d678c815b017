"""Character n-grams as in fastText, whose vectors make up the vector of an out-of-vocabulary word.

After Bojanowski et al. 2017 (arXiv:1607.04606) and the reference implementation's `Dictionary::computeSubwords`: a word
is put between `<` and `>`, and each n-gram is hashed by 32-bit FNV-1a over its UTF-8 bytes.
"""

OFFSET, PRIME, MASK = 2_166_136_261, 16_777_619, 0xFFFF_FFFF
# fastText casts each byte to int8_t before it is XORed in, so bytes from 128 up are extended by their sign.
SIGN = 0xFFFF_FF00


def buckets_of(word: str, shortest: int, longest: int, buckets: int) -> list[int]:
    """Return the bucket of each n-gram of `shortest` to `longest` characters; `<` and `>` alone are no n-grams."""
    characters = [character.encode() for character in f"<{word}>"]
    last = len(characters)
    hashes = []
    for start in range(last):
        value = OFFSET
        for end, character in enumerate(characters[start : start + longest], start=start + 1):
            for byte in character:
                value = ((value ^ (byte if byte < 128 else byte | SIGN)) * PRIME) & MASK
            length = end - start
            if length >= shortest and not (length == 1 and (start == 0 or end == last)):
                hashes.append(value % buckets)
    return hashes
