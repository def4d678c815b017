"""The proof: candidates run, timed, checked on other processors, and the choice of the one that ships."""
