"""Models by name or place: load them, save and publish your own."""

from keras_vae.hub.building import build as build
from keras_vae.hub.errors import AccessError as AccessError
from keras_vae.hub.errors import CacheError as CacheError
from keras_vae.hub.errors import HubError as HubError
from keras_vae.hub.errors import HubTimeoutError as HubTimeoutError
from keras_vae.hub.errors import NotFoundError as NotFoundError
from keras_vae.hub.errors import OfflineError as OfflineError
from keras_vae.hub.errors import RateLimitError as RateLimitError
from keras_vae.hub.errors import WeightsError as WeightsError
from keras_vae.hub.folder import save_to_folder as save_to_folder
from keras_vae.hub.loading import download as download
from keras_vae.hub.loading import load as load
from keras_vae.hub.publish import publish as publish
from keras_vae.registry import UnknownModelError as UnknownModelError
from keras_vae.registry import info as info
from keras_vae.registry import list_models as list_models
