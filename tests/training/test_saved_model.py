"""A saved `SimCLR` goes on where it was, in a process that has only the file."""

import json

import pytest

MODEL = """
import hashlib, json, sys
{imports}
import numpy as np
import tensorflow as tf

# Graph optimization takes a third of the time and does not affect the comparison.
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
folder = sys.argv[1]
draw = np.random.default_rng(0)
images = draw.integers(0, 256, (32, 16, 16, 3)).astype("uint8")
labels = np.arange(32) % 3

def build():
    keras.utils.set_random_seed(0)
    encoder = keras.Sequential([
        keras.Input((16, 16, 3)), keras.layers.Conv2D(8, 3, strides=2, use_bias=False),
        keras.layers.BatchNormalization(), keras.layers.ReLU(),
        keras.layers.GlobalAveragePooling2D(),
    ])
    model = sk.SimCLR(
        sk.prepare_encoder(encoder, 16).encoder, sk.ProjectionHead(8),
        sk.SimCLRAugmenter(16, color_jitter_strength=0, grayscale_probability=0, blur=False),
        loss=sk.NTXentLoss(0.2), probe=keras.layers.Dense(3),
    )
    model.compile(sk.LARS(sk.WarmupCosine(0.3, 8), weight_decay=1e-4))
    return model

def fit(model, epochs=1, callbacks=()):
    model.fit(
        images, labels, batch_size=8, epochs=epochs, shuffle=False, verbose=0,
        callbacks=list(callbacks),
    )
    weights = [
        w for part in (model.encoder, model.projection_head, model.probe)
        for w in part.get_weights()
    ]
    digest = hashlib.sha256(b"".join(w.tobytes() for w in weights)).hexdigest()
    return [digest, model.steps_made]

def backup():
    return keras.callbacks.BackupAndRestore(folder + "/backup", delete_checkpoint=False)
"""

SAVE = """
model = build()
fit(model, callbacks=[backup()])
model.save(folder + "/model.keras")
model.save_weights(folder + "/model.weights.h5")
tf.train.Checkpoint(**model.checkpointed()).save(folder + "/checkpoint")
print(json.dumps(fit(model)))
"""

CONTINUE = """
loaded = keras.models.load_model(folder + "/model.keras")
found = {"keras": fit(loaded)}
model = build()
model.load_weights(folder + "/model.weights.h5")
found["weights"] = fit(model)
found["backup"] = fit(build(), epochs=2, callbacks=[backup()])
model = build()
tf.train.Checkpoint(**model.checkpointed()).restore(folder + "/checkpoint-1")
found["checkpoint"] = fit(model)
print(json.dumps(found))
"""


@pytest.mark.slow
def test_training_continues_bit_for_bit(run_python, tmp_path):
    save = MODEL.replace("{imports}", "import keras, simclr_keras as sk") + SAVE
    go_on = MODEL.replace("{imports}", "import simclr_keras as sk, keras") + CONTINUE
    whole = json.loads(run_python(save, str(tmp_path)).splitlines()[-1])
    found = json.loads(run_python(go_on, str(tmp_path), new=True).splitlines()[-1])
    assert whole[1] == 8
    assert found == dict.fromkeys(("keras", "weights", "backup", "checkpoint"), whole)
