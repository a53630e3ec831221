"""What sentence-transformers and transformers saved beside a model's weights: modules, settings and the tokenizer.

Every setting that changes vectors or scores is honoured, or refused by its name. Nothing here imports torch.
"""
