"""What sentence-transformers saved beside a model: its list of modules and the settings of each.

Every setting that changes vectors or scores is honoured, or refused by its name. Nothing here imports torch.
"""
