"""`turnout verify`: the sealed bytes, the answers, and who signed them."""
