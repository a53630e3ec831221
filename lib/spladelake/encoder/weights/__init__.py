"""The weights of a checkpoint: its files, the shapes in their headers, and the tensors of the known families.

`files`, `families` and `shapes` read only headers and never import torch.
"""
