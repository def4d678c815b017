"""The calibration of a cascade on the user's rows: which answers of the CPU tier are kept, and what that may cost."""
