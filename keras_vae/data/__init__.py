"""Data: the data sets known by name, the protocols of published figures, and your own files.

A new data set is one record in `datasets.py`; a new protocol is one in `protocols.py`.
"""

from keras_vae.batches import Batches as Batches
from keras_vae.data.datasets import DATASETS as DATASETS
from keras_vae.data.datasets import Dataset as Dataset
from keras_vae.data.datasets import find as find
from keras_vae.data.loading import from_pictures as from_pictures
from keras_vae.data.loading import load as load
from keras_vae.data.packing import pack_pictures as pack_pictures
from keras_vae.data.packing import write_shards as write_shards
from keras_vae.data.parts import Data as Data
from keras_vae.data.protocols import PROTOCOLS as PROTOCOLS
from keras_vae.data.protocols import Protocol as Protocol
from keras_vae.data.protocols import binarized_once as binarized_once
from keras_vae.data.shards import read_shards as read_shards
from keras_vae.data.sources import Source as Source
