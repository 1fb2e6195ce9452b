"""Writes `net.onnx`: a small network of every layer a Keras image classifier has, as tf2onnx exports it.

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

SIDES = (12, 12, 2)


def network() -> keras.Model:
    """A stem, an inverted residual, a strided depthwise with TensorFlow's padding, a gate, and a dense head."""
    image = keras.Input(SIDES)
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


def main() -> None:
    keras.utils.set_random_seed(0)
    net, rng = network(), np.random.default_rng(0)
    for layer in net.layers:
        if isinstance(layer, layers.BatchNormalization):  # as if trained
            count = layer.input_shape[-1]
            layer.set_weights([rng.uniform(*ends, count) for ends in ((0.5, 2), (-0.2, 0.2), (-0.2, 0.2), (0.5, 2))])
    signature = (tf.TensorSpec((None, *SIDES), tf.float32, name="input"),)
    file = Path(__file__).with_name("net.onnx")
    tf2onnx.convert.from_keras(net, input_signature=signature, opset=17, output_path=str(file))


if __name__ == "__main__":
    main()
