"""Character n-grams as fastText has them: what it makes the vector of a word from that it has never seen.

After Bojanowski et al. 2017 (arXiv:1607.04606) and the reference implementation's `Dictionary::computeSubwords`: a word
stands between `<` and `>`, and each n-gram is hashed by 32-bit FNV-1a over its UTF-8 bytes, which are taken as signed.
"""

OFFSET, PRIME, MASK = 2_166_136_261, 16_777_619, 0xFFFF_FFFF
SIGN = 0xFFFF_FF00


def buckets_of(word: str, shortest: int, longest: int, buckets: int) -> list[int]:
    """The bucket of each n-gram of `shortest` to `longest` characters; the marks alone are none."""
    characters = [character.encode() for character in f"<{word}>"]
    last = len(characters)
    found = []
    for start in range(last):
        value = OFFSET
        for end, character in enumerate(characters[start : start + longest], start=start + 1):
            for byte in character:
                value = ((value ^ (byte if byte < 128 else byte | SIGN)) * PRIME) & MASK
            length = end - start
            if length >= shortest and not (length == 1 and (start == 0 or end == last)):
                found.append(value % buckets)
    return found
