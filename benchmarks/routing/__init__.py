"""The cascade on public data: two models of each set, what is kept, what that loses, and what it costs."""
