"""Trains for ten updates by traiNNer-redux's own code: REDUX_FOLDER -opt FILE; prints the losses as JSON.

Its train.py refuses to start without CUDA; this takes the same steps with its functions, on the CPU.
"""

import json
import logging
import sys

sys.path.insert(0, sys.argv.pop(1))

import torch
import train as redux
from traiNNer.models import build_model
from traiNNer.utils.config import Config

torch.set_num_threads(1)
opt, args = Config.load_config_from_file(".", is_train=True)
opt.root_path = "."
loader = redux.create_train_val_dataloader(opt, args, False, logging.getLogger("traiNNer"))[0]
model = build_model(opt)
losses = []
while len(losses) < 10:
    for batch in loader:
        model.set_current_iter(len(losses) + 1)
        model.feed_data(batch)
        model.optimize_parameters(len(losses) + 1, 0, True)
        losses.append(float(model.get_current_log()["l_g_total"]))
        model.reset_current_log()
        if len(losses) == 10:
            break
print(json.dumps(losses))
