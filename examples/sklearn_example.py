"""Trains scikit-learn's perceptron on its digits. Knows nothing of explr.

    python examples/sklearn_example.py --lr 1e-3 --hidden 64 --epochs 20
"""

import argparse
import pickle
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--model", type=Path, help="where the trained model is to be saved")
    args = parser.parse_args()

    pixels, digits = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(
        pixels / 16, digits, test_size=0.25, random_state=args.seed, stratify=digits
    )
    model = MLPClassifier(
        hidden_layer_sizes=(args.hidden,),
        learning_rate_init=args.lr,
        batch_size=32,
        random_state=args.seed,
    )
    for epoch in range(1, args.epochs + 1):
        model.partial_fit(train_x, train_y, classes=np.unique(digits))
        accuracy = model.score(test_x, test_y)
        print(f"epoch {epoch}/{args.epochs}: loss {model.loss_:.4f}, accuracy {accuracy:.4f}")
    if args.model:
        args.model.write_bytes(pickle.dumps(model))


if __name__ == "__main__":
    main()
