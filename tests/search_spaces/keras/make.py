"""Writes `images.onnx` and `series.onnx`: small classifiers of the layers that Keras has, as tf2onnx exports them.

pip install tensorflow-cpu==2.21.0 tf_keras==2.21.0 tf2onnx==1.17.0 && python tests/search_spaces/keras/make.py
"""

import os
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # tf2onnx 1.17 reads networks of Keras 2

import numpy as np
import tensorflow as tf
import tf2onnx
import tf_keras as keras
from tf_keras import layers


def images() -> keras.Model:
    """A stem, an inverted residual, a strided depthwise with TensorFlow's padding, a gate, and a dense head."""
    image = keras.Input((12, 12, 2))
    x = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(image)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    y = layers.ReLU(6.0)(layers.BatchNormalization()(y))
    y = layers.BatchNormalization()(layers.Conv2D(16, 1, use_bias=False)(y))
    x = layers.ZeroPadding2D(((0, 1), (0, 1)))(layers.Add()([x, y]))
    x = layers.Activation("swish")(layers.DepthwiseConv2D(3, strides=2)(x))
    gate = layers.Conv2D(8, 1, activation="relu")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Multiply()([x, layers.Conv2D(16, 1, activation="sigmoid")(gate)])
    x = layers.Dropout(0.3)(layers.Flatten()(layers.MaxPooling2D(2, padding="same")(x)))
    return keras.Model(image, layers.Dense(4, activation="softmax")(layers.Dense(12, activation="relu")(x)))


def series() -> keras.Model:
    """Six channels over 32 moments, whose 1-D layers become 2-D ones, lying for convolutions and upright for pools."""
    signal = keras.Input((32, 6))
    x = layers.Conv1D(16, 5, strides=2, padding="same", use_bias=False)(signal)
    x = layers.MaxPooling1D(2)(layers.ReLU()(layers.BatchNormalization()(x)))
    x = layers.SeparableConv1D(16, 3, padding="same", activation="relu")(x)
    x = layers.AveragePooling1D(2)(layers.Conv1D(8, 3, padding="causal", activation="relu")(x))
    return keras.Model(signal, layers.Dense(4)(layers.Flatten()(x)))


def main() -> None:
    for build in (images, series):
        keras.utils.set_random_seed(0)
        net, rng = build(), np.random.default_rng(0)
        for layer in net.layers:
            if isinstance(layer, layers.BatchNormalization):  # as if trained
                spread = ((0.5, 2), (-0.2, 0.2), (-0.2, 0.2), (0.5, 2))
                layer.set_weights([rng.uniform(*ends, layer.input_shape[-1]) for ends in spread])
        signature = (tf.TensorSpec(net.input_shape, tf.float32, name="input"),)
        file = Path(__file__).with_name(f"{build.__name__}.onnx")
        tf2onnx.convert.from_keras(net, input_signature=signature, opset=17, output_path=str(file))


if __name__ == "__main__":
    main()
