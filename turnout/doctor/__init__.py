"""`turnout doctor`: what would keep a first deployment from succeeding, found before it is begun."""
