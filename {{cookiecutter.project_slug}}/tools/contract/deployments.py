"""The files of this project that start workers. A deployment of another kind is one more."""

from tools.contract import compose
from tools.contract.worker import Deployment

DEPLOYMENTS: dict[str, Deployment] = {compose.COMPOSE: compose.DEPLOYMENT}
