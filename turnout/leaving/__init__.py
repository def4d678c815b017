"""`turnout status`, `turnout orphans` and `turnout down`: what runs, what was left behind, and the way out."""
