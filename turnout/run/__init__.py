"""`turnout run`: the function of a made image on this machine, under the limits that Lambda has."""
