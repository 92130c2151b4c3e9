"""Reads RSA private keys (concatenated PKCS#8 PEM) from standard input, and reports the conditions they violate.

Shares no code with the generator: DER is parsed here, arithmetic is Python's, and OpenSSL tests the primes. The
conditions are those of FIPS 186-5, A.1.1 and A.1.3, those of RFC 8017, 3.2, and that no two keys share a prime.
Beforehand, each check is tested with a key that violates its condition.
"""

import base64
import itertools
import math
import re
import subprocess
import sys

FIELDS = ["version", "n", "e", "d", "p", "q", "dp", "dq", "qinv"]


def element(data, at=0):
    """Returns the content of the DER element at `at`, and the offset of the next one."""
    length, at = data[at + 1], at + 2
    if length >= 0x80:
        size, at = length & 0x7F, at + (length & 0x7F)
        length = int.from_bytes(data[at - size : at], "big")
    return data[at : at + length], at + length


def elements(data):
    at = 0
    while at < len(data):
        contents, at = element(data, at)
        yield contents


def read(pem):
    info, _ = element(base64.b64decode(pem))
    _version, _algorithm, octets = itertools.islice(elements(info), 3)
    numbers, _ = element(octets)
    return dict(zip(FIELDS, (int.from_bytes(number, "big") for number in elements(numbers)), strict=True))


def wrong(key, bits):
    """Returns the names of the conditions that `key` violates, assuming that its factors are prime."""
    n, e, d, p, q = (key[name] for name in ["n", "e", "d", "p", "q"])
    half = bits // 2
    conditions = {
        "version": key["version"] == 0,
        "product": n == p * q,
        "length": n.bit_length() == bits and p.bit_length() == q.bit_length() == half,
        "exponent": e == 65537,
        "coprime": math.gcd(e, (p - 1) * (q - 1)) == 1,
        "range": all(prime * prime >= 1 << (2 * half - 1) for prime in (p, q)),
        "distance": abs(p - q) > 1 << (half - 100),
        "private exponent": d > 1 << half and d < n and d * e % math.lcm(p - 1, q - 1) == 1,
        "remainders": key["dp"] == d % (p - 1) and key["dq"] == d % (q - 1) and key["qinv"] * q % p == 1,
    }
    return [name for name, holds in conditions.items() if not holds]


def composites(numbers):
    """Returns the numbers that are composite according to OpenSSL."""
    found = []
    for start in range(0, len(numbers), 100):
        batch = numbers[start : start + 100]
        said = subprocess.run(
            ["openssl", "prime", "-hex", *(f"{number:x}" for number in batch)], capture_output=True, text=True, check=True
        )
        lines = said.stdout.splitlines()
        assert len(lines) == len(batch), said.stdout
        found += [number for number, line in zip(batch, lines) if not line.endswith(" is prime")]
    return found


def shared(primes):
    return len(primes) - len(set(primes))


def controls(key, bits):
    """Tests that every check detects a violation of its condition, and accepts a valid key."""
    half, p = bits // 2, key["p"]
    near, below = p + (1 << (half - 100)), (1 << (half - 1)) + 1
    divided = p - (p - 1) % key["e"]
    broken = {
        "version": {"version": 1},
        "product": {"n": key["n"] + 2},
        "length": {"n": key["n"] >> 1},
        "exponent": {"e": 3},
        "coprime": {"p": divided},
        "range": {"p": below},
        "distance": {"q": near},
        "private exponent": {"d": (1 << half) - 1},
        "remainders": {"dq": key["dq"] + 1},
    }
    assert wrong(key, bits) == [], wrong(key, bits)
    for name, change in broken.items():
        assert name in wrong(key | change, bits), f"a key with another {change.keys()} passes as to its {name}"
    # A Carmichael number with three large prime factors (Chernick's form). It passes Fermat's test, and must not pass
    # this one.
    k = 1000000511
    carmichael = (6 * k + 1) * (12 * k + 1) * (18 * k + 1)
    assert composites([p, p * key["q"], carmichael]) == [p * key["q"], carmichael]
    assert shared([p, key["q"], p]) == 1


def main():
    bits = int(sys.argv[1])
    pems = re.findall("-----BEGIN PRIVATE KEY-----(.*?)-----END PRIVATE KEY-----", sys.stdin.read(), re.S)
    keys = [read(pem) for pem in pems]
    controls(keys[0], bits)
    for number, key in enumerate(keys):
        for name in wrong(key, bits):
            print(f"key {number}: {name}")
    primes = [key[name] for key in keys for name in ["p", "q"]]
    print(*(f"not a prime: {number:x}" for number in composites(primes)), sep="\n", end="")
    if shared(primes):
        print(f"{shared(primes)} primes come twice")
    print(f"{len(keys)} keys read")


main()
