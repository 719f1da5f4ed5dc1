# SPDX-License-Identifier: GPL-2.0-or-later
"""ChaCha20, Poly1305 and XChaCha20-Poly1305 in plain Python, for tests/lib/protocol.py.

Written from RFC 8439 and draft-irtf-cfrg-xchacha, against whose vectors self_test checks it. It is slow and not
constant-time: for tests only.
"""
import struct

TAG_LEN = 16


class SealError(ValueError):
    """What was sealed does not open with this key, nonce and associated data."""


def _rounds(state):
    """The 20 rounds of ChaCha, without the addition of the input."""
    x = list(state)
    quarters = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
    for _ in range(10):
        for a, b, c, d in quarters:
            for p, q, r, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                x[p] = (x[p] + x[q]) & 0xffffffff
                word = x[r] ^ x[p]
                x[r] = (word << bits | word >> (32 - bits)) & 0xffffffff
    return x


def _state(key, tail):
    return list(struct.unpack("<4I8I4I", b"expand 32-byte k" + key + tail))


def chacha20_block(key, counter, nonce):
    """One block of key stream (RFC 8439 section 2.3)."""
    start = _state(key, struct.pack("<I", counter) + nonce)
    return struct.pack("<16I", *((a + b) & 0xffffffff for a, b in zip(_rounds(start), start)))


def chacha20(key, counter, nonce, text):
    out = bytearray()
    for at in range(0, len(text), 64):
        block = chacha20_block(key, counter + at // 64, nonce)
        out += bytes(a ^ b for a, b in zip(text[at:at + 64], block))
    return bytes(out)


def hchacha20(key, nonce16):
    """The subkey of the X construction (draft-irtf-cfrg-xchacha section 2.2)."""
    x = _rounds(_state(key, nonce16))
    return struct.pack("<8I", *(x[:4] + x[12:]))


def poly1305(key, text):
    r = int.from_bytes(key[:16], "little") & 0x0ffffffc0ffffffc0ffffffc0fffffff
    total = 0
    for at in range(0, len(text), 16):
        total = (total + int.from_bytes(text[at:at + 16] + b"\x01", "little")) * r % ((1 << 130) - 5)
    return ((total + int.from_bytes(key[16:], "little")) % (1 << 128)).to_bytes(16, "little")


def _aead_tag(key, nonce, aad, sealed):
    def padded(text):
        return text + bytes(-len(text) % 16)
    one_time = chacha20_block(key, 0, nonce)[:32]
    return poly1305(one_time, padded(aad) + padded(sealed) + struct.pack("<QQ", len(aad), len(sealed)))


def chacha20_poly1305_seal(key, nonce, aad, text):
    sealed = chacha20(key, 1, nonce, text)
    return sealed + _aead_tag(key, nonce, aad, sealed)


def chacha20_poly1305_open(key, nonce, aad, sealed):
    if len(sealed) < TAG_LEN or _aead_tag(key, nonce, aad, sealed[:-TAG_LEN]) != sealed[-TAG_LEN:]:
        raise SealError("the seal does not hold")
    return chacha20(key, 1, nonce, sealed[:-TAG_LEN])


def _x(key, nonce24):
    return hchacha20(key, nonce24[:16]), bytes(4) + nonce24[16:]


def xchacha20_poly1305_seal(key, nonce24, aad, text):
    return chacha20_poly1305_seal(*_x(key, nonce24), aad, text)


def xchacha20_poly1305_open(key, nonce24, aad, sealed):
    return chacha20_poly1305_open(*_x(key, nonce24), aad, sealed)


def self_test():
    """Checks everything here against published vectors. Returns how many there were."""
    x = bytes.fromhex
    sunscreen = (b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
                 b"sunscreen would be it.")
    counting, key = bytes(range(32)), bytes(range(0x80, 0xa0))
    aad = x("50515253c0c1c2c3c4c5c6c7")
    checks = [
        ("RFC 8439 2.3.2 ChaCha20 block", chacha20_block(counting, 1, x("000000090000004a00000000")),
         "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
         "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e"),
        ("RFC 8439 2.5.2 Poly1305",
         poly1305(x("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b"),
                  b"Cryptographic Forum Research Group"),
         "a8061dc1305136c6c22b8baf0c0127a9"),
        ("RFC 8439 2.8.2 ChaCha20-Poly1305", chacha20_poly1305_seal(key, x("070000004041424344454647"), aad, sunscreen),
         "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b"
         "1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
         "3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691"),
        ("draft-irtf-cfrg-xchacha 2.2.1 HChaCha20", hchacha20(counting, x("000000090000004a0000000031415927")),
         "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc"),
        ("draft-irtf-cfrg-xchacha A.3.1 XChaCha20-Poly1305",
         xchacha20_poly1305_seal(key, bytes(range(0x40, 0x58)), aad, sunscreen),
         "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39"
         "ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
         "21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49"),
    ]
    for name, got, want in checks:
        if got.hex() != want:
            raise AssertionError(f"{name}: got {got.hex()}, want {want}")
    return len(checks)
