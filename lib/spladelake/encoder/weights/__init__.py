"""The weights of a checkpoint: its files, the shapes that they announce, and the tensors of the families known here.

`files`, `families` and `shapes` read headers only and never import torch.
"""
