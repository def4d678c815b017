"""A base that is made of Debian's packages, unpacked and never installed."""
