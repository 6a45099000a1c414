"""The framework's logger.

Layer: ground.
Not for: configuring handlers or levels; applications and servers do that.

Source: `fastapi.logger`. The logger keeps the name "fastapi", so that configurations written for FastAPI still find it.
"""

import logging

__all__ = ["logger"]

logger = logging.getLogger("fastapi")
