"""The control plane: moto, with the resource types it lacks and with fixes for what `cdk deploy` needs.

moto 5.2.5 has no hooks for this, so its classes are extended in place, once per process, by `extend`. Each module fixes
one service, and each fix names its reason.
"""
