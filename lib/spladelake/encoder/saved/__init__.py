"""Read the files that sentence-transformers and transformers save beside the weights: modules, settings, tokenizer.

Every setting that changes vectors or scores is honoured, or refused by its name. Nothing here imports torch.
"""
