"""The parts of one deployment that AWS has, as they are found there: nothing here changes any."""
