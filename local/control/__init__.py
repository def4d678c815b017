"""The control plane: moto, taught the resource types it lacks and mended where `cdk deploy` trips over it.

moto 5.2.5 has no hooks for this, so its classes are extended in place, once per process, by `extend`. Each module
mends one service, and each mend says what for.
"""
