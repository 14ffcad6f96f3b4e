def train_model(ctx): return 0.0
